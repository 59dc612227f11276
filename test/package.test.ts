// The package as other projects get it: from a registry, installed into an empty folder as the documents say, used from JavaScript
// and TypeScript.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { removeTree } from "../src/files/remove-tree.ts";
import { blocksRunBy, readDocument, root } from "./support/document.ts";
import { needsPackages, npmCache, packKiln, registryProgram } from "./support/registry.ts";

/** Milliseconds for each program; together they stay below the time that a test file has. */
const limit = 60_000;
const program = (file: string): string => join(root, "examples/embedding", file);
const name = "kiln-store";
/** In docs/installing.md and in docs/library.md. */
const [installed, added, ...others] = blocksRunBy(import.meta.url);
/** The tsconfig.json that docs/library.md shows. */
const [, settings = ""] = /^```json\n(.*?)^```/ms.exec(readDocument("docs/library.md")) ?? [];

describe("the package", { skip: needsPackages, timeout: 240_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), "kiln-package-"));
  /** The project that it is installed into; has nothing else. */
  const project = join(home, "project");
  /** What an earlier build has left for a daemon that runs from the checkout. */
  const formerChunk = join(root, "dist/bundle/former-00000000.js");
  /** What is in the package. */
  let packed: string[] = [];
  let registry: ChildProcess;
  let address = "";

  /** Runs a program in the project and gives what it wrote; it must succeed, and soon. */
  function run(command: string, args: readonly string[]): Buffer {
    const env = {
      PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
      HOME: home,
      TMPDIR: home,
      ZB_STORE_DIR: join(home, "cli/store"),
      npm_config_registry: address,
    };
    const limits = { timeout: limit, killSignal: "SIGKILL", maxBuffer: 1 << 28 } as const;
    const ended = spawnSync(command, args, { cwd: project, env, ...limits });
    const late = ended.signal === "SIGKILL" ? ` did not end within ${limit / 1000} s` : "";
    assert.equal(
      ended.status,
      0,
      `${command} ${args.join(" ")}${late}: ${String(ended.stdout)}${String(ended.stderr)}`,
    );
    return ended.stdout;
  }

  before(async () => {
    mkdirSync(project);
    // What prepares the package (npm run build) came before the tests.
    writeFileSync(formerChunk, "");
    const archive = packKiln(home);
    rmSync(formerChunk);
    const list = run("tar", ["--list", "--file", archive]).toString().trim().split("\n");
    packed = list.map((file) => file.replace(/^package\//, ""));
    registry = spawn(process.execPath, [registryProgram, npmCache, archive]);
    const [said] = (await once(registry.stdout!, "data")) as [Buffer];
    address = said.toString().trim();
    run("sh", ["-ec", added!.commands]);
  });
  after(async () => {
    registry.stdin!.end();
    await removeTree(home);
  });

  test("is installed as two documents say, and no others", () => {
    assert.match(installed?.commands ?? "", /^npm install .*\nnpx kiln build\n$/);
    assert.match(added?.commands ?? "", /^npm init/);
    assert.deepEqual(others, []);
  });

  test("has what it needs, and none of the tests", () => {
    const threads = globSync("**/*-worker.ts", { cwd: join(root, "src") });
    assert.ok(threads.includes("store/digest-worker.ts"));
    for (const file of [
      ...threads.map((program) => `dist/${program.replace(/ts$/, "cjs")}`),
      "LICENSE",
      "README.md",
      "package.json",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/author/testing.js",
      "dist/author/builder-main.mjs",
      "dist/bundle/main.js",
      "dist/build/sandbox/init.pl",
      "dist/build/sandbox/init.sh",
      "dist/store/database/schema/01-objects.sql",
    ]) {
      assert.ok(packed.includes(file), file);
    }
    const needless = packed.filter((file) =>
      /\.(?:test|tsbuildinfo|map|npmignore)\b|fixtures|former/.test(file),
    );
    assert.deepEqual(needless, []);
  });

  test("can be imported by each of its names, and by no other", () => {
    const check = `
      const all = await import("kiln-store");
      const { evaluate } = await import("kiln-store/testing");
      await import("kiln-store/package.json", { with: { type: "json" } });
      const inside = await import("kiln-store/dist/index.js").catch((error) => error.code);
      console.log(JSON.stringify([typeof all.Server.open, typeof evaluate, inside]));`;
    const said = run(process.execPath, ["--input-type=module", "--eval", check]).toString();
    assert.deepEqual(JSON.parse(said), ["function", "function", "ERR_PACKAGE_PATH_NOT_EXPORTED"]);
  });

  test("runs the embedding program in JavaScript", () => {
    cpSync(program("hello.js"), join(project, "hello.js"));
    const events = run(process.execPath, ["hello.js", join(home, "js")])
      .toString()
      .split("\n");
    assert.equal(events[0], "build.started");
    assert.deepEqual(events.slice(-4), ["build.finished", "Hello!", "", ""]);
  });

  test("runs the embedding program in TypeScript", () => {
    cpSync(program("shout.ts"), join(project, "shout.ts"));
    const stream = run(process.execPath, ["shout.ts", join(home, "ts")]);
    assert.equal(stream.readBigUInt64LE(0), 1n);
    assert.ok(stream.includes("HELLO!\n"));
    assert.equal(stream.readBigUInt64LE(stream.length - 8), 0n);
  });

  test("the embedding program says what it was not told", () => {
    for (const file of ["hello.js", "shout.ts"]) {
      cpSync(program(file), join(project, file));
      const ended = spawnSync(process.execPath, [file], { cwd: project, encoding: "utf8" });
      assert.equal(ended.status, 2);
      assert.equal(ended.stderr, `no folder for the store is given: node ${file} "$PWD/here"\n`);
    }
  });

  test("has types that hold with the document's tsconfig.json, and in stricter modes", () => {
    cpSync(program("shout.ts"), join(project, "shout.ts"));
    const testing = 'import { evaluate } from "kiln-store/testing";\nvoid evaluate;\n';
    writeFileSync(join(project, "testing.ts"), testing);
    writeFileSync(join(project, "tsconfig.json"), settings);
    run("npx", ["--no", "tsc"]);
    run("npx", ["--no", "tsc", "--skipLibCheck", "false", "--exactOptionalPropertyTypes"]);
  });

  test("says to an older Node which one it needs", () => {
    const claim = 'Object.defineProperty(process.versions, "node", { value: "20.1.0" })';
    const older = (process.env["PATH"] ?? "")
      .split(":")
      .map((folder) => join(folder, "node"))
      .find((node) => /^v(?:18|20|22)\./.test(String(spawnSync(node, ["--version"]).stdout)));
    const node =
      older === undefined ? [process.execPath, `--import=data:text/javascript,${claim}`] : [older];
    const [command = "", ...flags] = node;
    const main = join(project, `node_modules/${name}/dist/bundle/main.js`);
    const { status, stderr } = spawnSync(command, [...flags, main, "version"]);
    assert.match(
      String(stderr),
      /^kiln: error: Node 24 or newer is needed, and this is \d+\.\d+\.\d+; npm install --save-dev node@24 gives a project one\n$/,
    );
    assert.equal(status, 1);
  });

  test("brings the command, with which npx builds a build file of the project", () => {
    cpSync(join(root, "examples/hello"), project, { recursive: true });
    assert.match(run("npx", ["--no", "kiln", "version"]).toString(), /^kiln \d/);
    const said = run("sh", ["-ec", installed!.commands]).toString();
    const output = said.trimEnd().split("\n").at(-1) ?? "";
    const text = readFileSync(join(root, "examples/hello/hello.txt"), "utf8");
    assert.equal(readFileSync(output, "utf8"), text);
  });
});
