// The pages that are made of the documents, and those of the library's API.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../src/util/temp.ts";
import { blocksRunBy, commandsOf, root } from "./support/document.ts";

/** Milliseconds for npm and typedoc. */
const limit = 240_000;
/** What npm says when it reaches no registry. */
const noRegistry = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT|ECONNRESET)\b/;

function run(command: string, args: readonly string[]): { ok: boolean; said: string } {
  const { PATH = "", HOME } = process.env;
  const ended = spawnSync(command, args, {
    cwd: root,
    env: { HOME, PATH: `${dirname(process.execPath)}:${PATH}` },
    encoding: "utf8",
    timeout: limit,
    killSignal: "SIGKILL",
  });
  const late = ended.signal === "SIGKILL" ? ` did not end within ${limit / 1000} s` : "";
  const said = `${command} ${args.join(" ")}${late}\n${ended.stdout}${ended.stderr}`;
  return { ok: ended.status === 0, said };
}

/** Where links of a page lead that lead nowhere. The API's pages are not made here. */
function brokenLinks(pages: string, page: string): string[] {
  const html = readFileSync(join(pages, page), "utf8");
  const links = [...html.matchAll(/ (?:href|src)="([^"]+)"/g)].map(([, link = ""]) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    if (target.startsWith("api/")) return false;
    if (!existsSync(join(pages, target))) return true;
    if (anchor === undefined) return false;
    return !readFileSync(join(pages, target), "utf8").includes(` id="${anchor}"`);
  });
}

test("every link of the pages leads somewhere", async () => {
  await using pages = await temporaryDirectory(tmpdir(), "kiln-pages-");
  const { ok, said } = run(process.execPath, [join(root, "scripts/docs.ts"), pages.path]);
  assert.ok(ok, said);
  const made = globSync("**/*.html", { cwd: pages.path });
  assert.ok(made.length > 20, `${made.length} pages`);
  const broken = made.flatMap((page) =>
    brokenLinks(pages.path, page).map((link) => `${page}: ${link}`),
  );
  assert.deepEqual(broken, []);
});

const [command = "", ...others] = blocksRunBy(import.meta.url).flatMap(commandsOf);

test(`${command} makes the pages and the API's`, { timeout: 2 * limit }, (t) => {
  assert.deepEqual(others, []);
  const { ok, said } = run("sh", ["-c", command]);
  if (!ok && noRegistry.test(said)) {
    t.skip("no registry can be reached");
    return;
  }
  assert.ok(ok, said);
  for (const page of [
    "index.html",
    "start.html",
    "api/index.html",
    "api/classes/index.Server.html",
  ]) {
    assert.ok(existsSync(join(root, "docs/pages", page)), page);
  }
});
