// What freezing and removing do for somebody who is not root. Run as root, this becomes nobody for it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../src/util/temp.ts";

const nobody = 65534;
const isRoot = process.geteuid?.() === 0;
const sources = fileURLToPath(new URL("../src/files", import.meta.url));
const builds = fileURLToPath(new URL("../src/build/service.test.ts", import.meta.url));
const skip = whyNot();

/** Runs a module's code as a plain user; `path` is its argument. */
function run(code: string, path: string): void {
  runNode(["--input-type=module", "--eval", code, path], {});
}

/** Runs Node as a plain user, and gives what it said. */
function runNode(words: readonly string[], env: NodeJS.ProcessEnv): string {
  const node = [process.execPath, ...words];
  const asNobody = [`--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--", ...node];
  const [command = "", ...args] = isRoot ? ["setpriv", ...asNobody] : node;
  return execFileSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

const freezeIt = `
  import { freeze } from ${JSON.stringify(join(sources, "freeze.ts"))};
  await freeze(process.argv[1]);`;

const hashIt = `
  import { hashTree } from ${JSON.stringify(join(sources, "dump.ts"))};
  await hashTree(process.argv[1]);`;

const removeIt = `
  import { removeTree } from ${JSON.stringify(join(sources, "remove-tree.ts"))};
  await removeTree(process.argv[1]);`;

/** The plain user's, as is everything in it after {@link give}. */
function give(...paths: readonly string[]): void {
  for (const path of paths) {
    if (isRoot && !lstatSync(path).isSymbolicLink()) chownSync(path, nobody, nobody);
  }
}

function whyNot(): string | false {
  if (process.platform !== "linux") return "needs Linux";
  if (!isRoot) return false;
  const readable = spawnSync("setpriv", [
    `--reuid=${nobody}`,
    `--regid=${nobody}`,
    "--clear-groups",
    "--",
    process.execPath,
    "--check",
    join(sources, "freeze.ts"),
  ]);
  return readable.status === 0 ? false : "needs setpriv, and sources that nobody can read";
}

describe("trees of a plain user", { skip }, () => {
  test("files and directories without any permission are frozen, read and removed", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-plain-");
    const root = join(temp.path, "root");
    const closed = join(root, "closed");
    const file = join(closed, "file");
    mkdirSync(closed, { recursive: true });
    writeFileSync(file, "x");
    give(temp.path, root, closed, file);
    for (const path of [file, closed, root]) chmodSync(path, 0o000);

    run(freezeIt, root);
    const modes = [root, closed, file].map((path) => (statSync(path).mode & 0o7777).toString(8));
    assert.deepEqual(modes, ["555", "555", "444"]);
    run(hashIt, root);
    run(removeIt, root);
    assert.equal(lstatSync(root, { throwIfNoEntry: false }), undefined);
  });

  test("directories without any permission are removed", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-plain-");
    const root = join(temp.path, "root");
    const closed = join(root, "closed");
    mkdirSync(join(closed, "inner"), { recursive: true });
    writeFileSync(join(closed, "inner", "file"), "x");
    give(temp.path, root, closed, join(closed, "inner"), join(closed, "inner", "file"));
    for (const path of [join(closed, "inner"), closed, root]) chmodSync(path, 0o000);
    run(removeIt, root);
    assert.equal(lstatSync(root, { throwIfNoEntry: false }), undefined);
  });

  test("another user's file is copied, and stays as it is outside", { skip: !isRoot }, async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-plain-");
    const root = join(temp.path, "root");
    const outside = join(temp.path, "outside");
    mkdirSync(root);
    writeFileSync(outside, "root's");
    chmodSync(outside, 0o644);
    linkSync(outside, join(root, "linked"));
    symlinkSync(outside, join(root, "link"));
    give(temp.path, root);

    run(freezeIt, root);
    const { mode, uid, nlink } = statSync(outside);
    assert.deepEqual([mode & 0o7777, uid, nlink], [0o644, 0, 1]);
    assert.equal(readFileSync(join(root, "linked"), "utf8"), "root's");
    assert.equal(lstatSync(join(root, "linked")).uid, nobody);
  });

  test("what a builder left is rewritten, although parts of it are frozen by then", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-plain-");
    give(temp.path);
    const pattern = "rewrites what an output says of itself|gives outputs that mention each other";
    const said = runNode(
      ["--test", "--test-reporter=tap", `--test-name-pattern=${pattern}`, builds],
      {
        HOME: temp.path,
        TMPDIR: temp.path,
        NODE_TEST_CONTEXT: undefined,
      },
    );
    assert.match(said, /^# pass 2$/m);
    assert.match(said, /^# fail 0$/m);
  });
});
