// The package as other projects get it: packed, installed into an empty folder as docs/library.md says, used from JavaScript and
// TypeScript.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { removeTree } from "../src/files/remove-tree.ts";
import { readDocument } from "./support/document.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Milliseconds for each program; together they stay below the time that a test file has. */
const limit = 60_000;
const program = (file: string): string => join(root, "examples/embedding", file);
const name = "kiln-store";
const document = readDocument("docs/library.md");
/** The first block in that language that the document has. */
const firstBlock = (language: string): string =>
  new RegExp(String.raw`^\`\`\`${language}\n(.*?)^\`\`\``, "ms").exec(document)?.[1] ?? "";

/** What is read of package.json and of an entry of a lock. */
interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly resolved?: string;
}

describe("the package", { timeout: 240_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), "kiln-package-"));
  /** The project that it is installed into; has nothing else. */
  const project = join(home, "project");
  /** What is in the package. */
  let packed: string[] = [];

  /** Runs a program in the project and gives what it wrote; it must succeed, and soon: a registry may be slow. */
  function run(command: string, args: readonly string[], cwd = project): Buffer {
    const { PATH = "", HOME } = process.env;
    const path = `${dirname(process.execPath)}:${PATH}`;
    const env = { PATH: path, HOME, TMPDIR: home, ZB_STORE_DIR: join(home, "cli/store") };
    const limits = { timeout: limit, killSignal: "SIGKILL", maxBuffer: 1 << 28 } as const;
    const ended = spawnSync(command, args, { cwd, env, ...limits });
    const late = ended.signal === "SIGKILL" ? ` did not end within ${limit / 1000} s` : "";
    assert.equal(
      ended.status,
      0,
      `${command} ${args.join(" ")}${late}: ${String(ended.stdout)}${String(ended.stderr)}`,
    );
    return ended.stdout;
  }

  /**
   * A lock for what the project depends on, with the versions that the checkout has: npm has their archives from installing the
   * checkout, and needs to ask no registry.
   */
  function lockOf(manifest: Manifest, archive: string): object {
    const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, Manifest>;
    };
    const { devDependencies: _, ...own } = packages[""] ?? {};
    packages[`node_modules/${name}`] = { ...own, resolved: archive };
    const needed = new Map<string, Manifest>();
    const need = ({ dependencies, devDependencies, optionalDependencies }: Manifest): void => {
      const names = { ...dependencies, ...devDependencies, ...optionalDependencies };
      for (const place of Object.keys(names).map((each) => `node_modules/${each}`)) {
        const found = packages[place];
        if (found === undefined || needed.has(place)) continue;
        needed.set(place, found);
        need(found);
        for (const [inside, manifest] of Object.entries(packages)) {
          if (inside.startsWith(`${place}/`)) needed.set(inside, manifest);
        }
      }
    };
    need(manifest);
    return { lockfileVersion: 3, packages: { "": manifest, ...Object.fromEntries(needed) } };
  }

  /** Does what a line of the document says. What it installs is only written down, the package as the archive. */
  function follow(line: string, archive: string): void {
    const [command = "", ...words] = line.replace(/\s+#.*$/, "").split(" ");
    if (words[0] !== "install") return void run(command, words);
    const kind = words.includes("--save-dev") ? "devDependencies" : "dependencies";
    const names = words.slice(1).filter((word) => !word.startsWith("-"));
    run(command, [
      "pkg",
      "set",
      ...names.map((each) => `${kind}.${each}=${each === name ? archive : "*"}`),
    ]);
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
    const archive = `file:../${pack?.filename}`;
    for (const line of firstBlock("sh").trim().split("\n")) follow(line, archive);
    const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Manifest;
    const lock = lockOf(manifest, archive);
    writeFileSync(join(project, "package-lock.json"), JSON.stringify(lock));
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    run("npm", ["ci", ...quiet, "--fetch-timeout=10000", "--fetch-retries=1"]);
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
    writeFileSync(join(project, "tsconfig.json"), firstBlock("json"));
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
      /^kiln: error: Node 24 or newer is needed, and this is \d+\.\d+\.\d+\n$/,
    );
    assert.equal(status, 1);
  });

  test("brings the command, with which npx builds a build file of the project", () => {
    cpSync(join(root, "examples/hello"), join(project, "hello"), { recursive: true });
    const kiln = (...words: string[]): string => run("npx", ["--no", "kiln", ...words]).toString();
    assert.match(kiln("version"), /^kiln \d/);
    const output = kiln("build", "hello", "--quiet").trimEnd();
    const text = readFileSync(join(root, "examples/hello/hello.txt"), "utf8");
    assert.equal(readFileSync(output, "utf8"), text);
  });
});
