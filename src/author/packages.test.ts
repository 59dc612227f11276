import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { NarReader } from "../format/nar/reader.ts";
import { callerPlace } from "./place.ts";
import { installedIn } from "./packages.ts";
import type { SourceValue } from "./values.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(realpathSync(tmpdir()), "kiln-packages-"));
});
afterEach(() => rmSync(root, { recursive: true }));

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Installs a package: `at` is its folder below the root; what it is called and its version come from there and the manifest. */
function install(at: string, manifest: Manifest = {}): void {
  const name = at.slice(at.lastIndexOf("node_modules/") + "node_modules/".length);
  write(`${at}/package.json`, JSON.stringify({ name, version: "1.0.0", ...manifest }));
}

function write(name: string, content: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), content);
}

function pack(names: readonly string[], from = "app"): SourceValue {
  mkdirSync(join(root, from), { recursive: true });
  return installedIn(names, join(root, from), callerPlace());
}

/** The files in a source, each with the version in it if it is a package.json. */
function files(source: SourceValue): string[] {
  const found: string[] = [];
  const names: string[] = [];
  const reader = new NarReader({
    directory: (name) => names.push(name),
    endDirectory: () => void names.pop(),
    file: (name) => found.push([...names.slice(1), name].join("/")),
    data: (chunk) => {
      const version = /"version":"([^"]*)"/.exec(chunk.toString())?.[1];
      if (version !== undefined) found.push(`${found.pop() ?? ""} ${version}`);
    },
    endFile: () => {},
    symlink: (name) => found.push([...names.slice(1), name].join("/")),
  });
  reader.write(Buffer.concat([...(source.item.content?.nar() ?? [])]));
  return found;
}

const one = { dependencies: { shared: "1" } };

suite("installed packages", () => {
  test("come with all they depend on, and nothing else that is installed", () => {
    install("node_modules/a", { dependencies: { b: "1" }, optionalDependencies: { absent: "1" } });
    install("node_modules/b", { peerDependencies: { "@s/c": "1", missing: "1" } });
    install("node_modules/@s/c");
    install("node_modules/other");
    write("node_modules/a/lib/x.js", "");
    write("node_modules/.package-lock.json", "{}");
    write("node_modules/.bin/a", "");
    assert.deepEqual(files(pack(["a"])), [
      "node_modules/@s/c/package.json 1.0.0",
      "node_modules/a/lib/x.js",
      "node_modules/a/package.json 1.0.0",
      "node_modules/b/package.json 1.0.0",
    ]);
  });

  test("are looked for beside and above", () => {
    install("node_modules/a", { version: "1.0.0" });
    install("app/node_modules/a", { version: "2.0.0" });
    assert.deepEqual(files(pack(["a"], "app")), ["node_modules/a/package.json 2.0.0"]);
    assert.deepEqual(files(pack(["a"], "other")), ["node_modules/a/package.json 1.0.0"]);
  });

  test("keep apart two versions that are needed", () => {
    install("node_modules/a", one);
    install("node_modules/b", one);
    install("node_modules/shared", { version: "1.0.0" });
    install("node_modules/b/node_modules/shared", { version: "2.0.0" });
    assert.deepEqual(files(pack(["a", "b"])), [
      "node_modules/a/package.json 1.0.0",
      "node_modules/b/node_modules/shared/package.json 2.0.0",
      "node_modules/b/package.json 1.0.0",
      "node_modules/shared/package.json 1.0.0",
    ]);
  });

  test("do not depend on where npm put what they need", () => {
    install("node_modules/a", one);
    install("node_modules/b", one);
    install("node_modules/shared", { version: "1.0.0" });
    const hoisted = pack(["a", "b"]).storePath;
    rmSync(join(root, "node_modules/shared"), { recursive: true });
    install("node_modules/a/node_modules/shared", { version: "1.0.0" });
    install("node_modules/b/node_modules/shared", { version: "1.0.0" });
    install("node_modules/shared", { version: "3.0.0" });
    assert.equal(pack(["b", "a"]).storePath, hoisted);
  });

  test("give each the version it found, though another lies nearer afterwards", () => {
    // p has its own a@2 and y@2; that a uses the y@1 of the top.
    install("node_modules/p", { dependencies: { a: "2", y: "2" } });
    install("node_modules/q", { dependencies: { a: "1", y: "1" } });
    install("node_modules/a", { version: "1.0.0" });
    install("node_modules/y", { version: "1.0.0" });
    install("node_modules/p/node_modules/y", { version: "2.0.0" });
    install("elsewhere/node_modules/a", { version: "2.0.0", dependencies: { y: "1" } });
    install("elsewhere/node_modules/y", { version: "1.0.0" });
    symlinkSync(
      join(root, "elsewhere/node_modules/a"),
      join(root, "node_modules/p/node_modules/a"),
    );
    assert.deepEqual(
      files(pack(["q", "p"])),
      [
        "node_modules/a/package.json 2.0.0",
        "node_modules/p/package.json 1.0.0",
        "node_modules/q/node_modules/a/package.json 1.0.0",
        "node_modules/q/node_modules/y/package.json 1.0.0",
        "node_modules/a/node_modules/y/package.json 1.0.0",
        "node_modules/q/package.json 1.0.0",
        "node_modules/y/package.json 2.0.0",
      ].toSorted(),
    );
  });

  test("may be linked folders, whose own packages and history stay out", () => {
    install("packages/a", { name: "a", dependencies: { b: "1" } });
    install("packages/a/node_modules/b");
    write("packages/a/.git/HEAD", "");
    mkdirSync(join(root, "node_modules"));
    symlinkSync("../packages/a", join(root, "node_modules/a"));
    assert.deepEqual(files(pack(["a"])), [
      "node_modules/a/package.json 1.0.0",
      "node_modules/b/package.json 1.0.0",
    ]);
  });

  for (const [what, names, message] of [
    ["that are not there", ["nope"], /no package "nope" beside or above/],
    ["by a path", ["./a"], /"\.\/a" is no package's name/],
    ["by a part of one", ["a/b"], /"a\/b" is no package's name/],
    ["without a list", [], /no package is named/],
  ] satisfies [string, string[], RegExp][]) {
    test(`cannot be asked for ${what}`, () => {
      assert.throws(() => pack(names), message);
    });
  }

  test("must have what they need", () => {
    install("node_modules/a", { dependencies: { gone: "1" } });
    assert.throws(() => pack(["a"]), /a@1\.0\.0 needs "gone", which is not installed/);
  });
});
