// The package as other projects get it: packed, installed into an empty folder, used from JavaScript and TypeScript.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { removeTree } from "../src/files/remove-tree.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = (name: string): string => join(root, "examples/embedding", name);

describe("the package", { timeout: 240_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), "kiln-package-"));
  /** The project that it is installed into; has nothing else. */
  const project = join(home, "project");
  /** What is in the package. */
  let packed: string[] = [];

  /** Runs a program in the project and gives what it wrote; it must succeed. */
  function run(command: string, args: readonly string[], cwd = project): Buffer {
    const { PATH = "", HOME } = process.env;
    const path = `${dirname(process.execPath)}:${PATH}`;
    const env = { PATH: path, HOME, TMPDIR: home, ZB_STORE_DIR: join(home, "cli/store") };
    const ended = spawnSync(command, args, { cwd, env, maxBuffer: 1 << 28 });
    assert.equal(
      ended.status,
      0,
      `${command} ${args.join(" ")}: ${String(ended.stdout)}${String(ended.stderr)}`,
    );
    return ended.stdout;
  }

  before(() => {
    mkdirSync(project);
    // What prepares the package (npm run build) came before the tests.
    const said = run(
      "npm",
      ["pack", "--ignore-scripts", "--json", "--pack-destination", home],
      root,
    );
    const [pack] = JSON.parse(said.toString()) as { filename: string; files: { path: string }[] }[];
    packed = pack?.files.map(({ path }) => path) ?? [];
    writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    run("npm", ["install", ...quiet, join(home, pack?.filename ?? "")]);
  });
  after(async () => await removeTree(home));

  test("has what it needs, and none of the tests", () => {
    for (const file of [
      "LICENSE",
      "README.md",
      "package.json",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/author/testing.js",
      "dist/author/builder-main.mjs",
      "dist/bundle/main.js",
      "dist/build/sandbox/init.sh",
      "dist/store/database/schema/01-objects.sql",
    ]) {
      assert.ok(packed.includes(file), file);
    }
    const needless = packed.filter((file) => /\.(?:test|tsbuildinfo|map)\b|fixtures/.test(file));
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

  test("has types that hold in strict mode, its own and its dependencies' checked as well", () => {
    cpSync(program("shout.ts"), join(project, "shout.ts"));
    const testing = 'import { evaluate } from "kiln-store/testing";\nvoid evaluate;\n';
    writeFileSync(join(project, "testing.ts"), testing);
    const compilerOptions = {
      target: "es2024",
      lib: ["es2024", "esnext.disposable"],
      module: "nodenext",
      strict: true,
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      // As after npm install --save-dev @types/node.
      types: ["node"],
      typeRoots: [join(root, "node_modules/@types")],
    };
    const include = ["shout.ts", "testing.ts"];
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include }));
    run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "."]);
  });

  test("brings the command, which builds a build file of the project", () => {
    cpSync(join(root, "examples/hello"), join(project, "hello"), { recursive: true });
    const kiln = join(project, "node_modules/.bin/kiln");
    assert.match(run(kiln, ["version"]).toString(), /^kiln \d/);
    const output = run(kiln, ["build", "hello", "--quiet"]).toString().trimEnd();
    const text = readFileSync(join(root, "examples/hello/hello.txt"), "utf8");
    assert.equal(readFileSync(output, "utf8"), text);
  });
});
