import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TreeWriter } from "../files/restore.ts";
import { NarReader } from "../format/nar/reader.ts";
import { nodeBuild, nodeRuntime, text } from "./api.ts";
import { parsed } from "./derivation.test.support.ts";
import { SourceValue, type Source } from "./values.ts";

let folder: string;
before(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), "kiln-node-build-"));
});
after(() => rmSync(folder, { recursive: true }));

const entry = fileURLToPath(new URL("builder-main.mjs", import.meta.url));

/** Writes a source to disk. */
function restore(source: Source, to: string): void {
  assert.ok(source instanceof SourceValue);
  const writer = new TreeWriter(to);
  const reader = new NarReader(writer);
  for (const chunk of source.item.content?.nar() ?? []) reader.write(chunk);
  reader.end();
  writer.close();
}

/** Runs a build script as a derivation would, and gives what it wrote. */
function build(script: string, env: Record<string, string> = {}, args: string[] = []): string {
  const file = join(folder, "script.ts");
  const out = join(folder, "out");
  writeFileSync(file, script);
  rmSync(out, { force: true });
  const ended = spawnSync(process.execPath, [entry, file, ...args], {
    cwd: folder,
    env: { out, ...env },
    encoding: "utf8",
  });
  if (ended.status !== 0) return ended.stderr;
  assert.equal(ended.stderr, "");
  return readFileSync(out, "utf8");
}

suite("a build script", () => {
  const write = 'import { writeFileSync } from "node:fs";\n';

  test("is called with its attrs, joined, and knows its output, arguments and folder", () => {
    const script = `${write}export default async (context: object): Promise<void> => {
      writeFileSync((context as { out: string }).out, JSON.stringify(context));
    };`;
    const json = JSON.stringify({ text: "grün" });
    const env = { attrs: json.slice(0, 5), attrs1: json.slice(5), outputs: "out dev", dev: "/d" };
    assert.deepEqual(JSON.parse(build(script, env, ["x", "y"])), {
      attrs: { text: "grün" },
      out: join(folder, "out"),
      outputs: { out: join(folder, "out"), dev: "/d" },
      args: ["x", "y"],
      work: folder,
    });
  });

  test("may do without attrs", () => {
    const script = `${write}export default ({ attrs, out }: any) => writeFileSync(out, String(attrs));`;
    assert.equal(build(script), "undefined");
  });

  test("fails by throwing, at its own line", () => {
    assert.match(build('export default () => {\n  throw new Error("no");\n};'), /script\.ts:2\n/);
  });

  test("must have a function to call", () => {
    assert.match(build("export const x = 1;"), /has no function as its default export/);
  });

  test("never gets another entry, as every user's paths would change", () => {
    const { storePath } = text("kiln-builder-1.mjs", readFileSync(entry, "utf8"));
    assert.equal(storePath, "/opt/zb/store/5wbfp5mkb17f186r0rp4c43d3mxsvi95-kiln-builder-1.mjs");
  });
});

/** As from a build file whose types nobody checked. */
function make(options: object): unknown {
  return Reflect.apply(nodeBuild, undefined, [options]);
}

suite("nodeBuild()", () => {
  test("runs the script on a Node that is an input", () => {
    const script = text("script.ts", "");
    const value = nodeBuild({ name: "a", script, args: ["x"], nodeArgs: ["--no-warnings"] });
    const { builder, args, inputSources } = parsed(value);
    const node = nodeRuntime().storePath;
    const [entryPath = "", scriptPath, ...rest] = args.slice(args.indexOf("--no-warnings") + 1);
    assert.ok(builder.startsWith(`${node}/`));
    assert.match(entryPath, /-kiln-builder-1\.mjs$/);
    assert.equal(scriptPath, script.storePath);
    assert.deepEqual(rest, ["x"]);
    assert.deepEqual(inputSources, [node, entryPath, script.storePath].toSorted());
  });

  test("wants a source as its script, and chooses builder and system itself", () => {
    const script = text("s.ts", "");
    assert.throws(() => make({ name: "a", script: "./x.ts" }), /script is "\.\/x\.ts"/);
    assert.throws(() => make({ name: "a", script, builder: "/x" }), /are Node's own/);
    assert.throws(() => make({ name: "a", script, scripts: 1 }), /no option "scripts"/);
  });
});

test("nodeRuntime() runs where nothing else is", { skip: process.platform !== "linux" }, () => {
  const to = join(folder, "node");
  restore(nodeRuntime(), to);
  const { builder } = parsed(nodeBuild({ name: "x", script: text("x.ts", "") }));
  const loader = builder.replace(nodeRuntime().storePath, to);
  mkdirSync(join(folder, "empty"), { recursive: true });
  const args = ["--argv0", "node", "--library-path", `${to}/lib`, `${to}/bin/node`];
  const version = execFileSync(loader, [...args, "-p", "process.version"], {
    env: {},
    cwd: join(folder, "empty"),
    encoding: "utf8",
  });
  assert.equal(version.trim(), process.version);
  const maps = "require('fs').readFileSync('/proc/self/maps', 'utf8')";
  const libraries = execFileSync(loader, [...args, "-p", maps], { env: {}, encoding: "utf8" });
  const foreign = libraries.split("\n").filter((line) => /\.so/.test(line) && !line.includes(to));
  assert.deepEqual(foreign, []);
});
