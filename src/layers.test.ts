/**
 * Which way imports point: a folder may import itself and what its row names, tests included. The files beside this one (index.ts)
 * are entries: they may import anything, and nothing inside imports them.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync, readdirSync } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";

const allowed: Readonly<Record<string, readonly string[]>> = {
  util: [],
  format: ["util"],
  files: ["util", "format"],
  // These two do not see each other.
  rpc: ["util", "format"],
  store: ["util", "format", "files"],
  build: ["util", "format", "files", "rpc", "store"],
  server: ["util", "format", "files", "rpc", "store", "build"],
  web: ["util", "format", "files", "rpc", "store", "build", "server"],
  // Build files and what they use: they talk to a store through the wire alone.
  author: ["util", "format", "files", "rpc"],
  cli: ["util", "format", "files", "rpc", "store", "build", "server", "web", "author"],
};

const source = import.meta.dirname;
const folders = readdirSync(source, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** The relative imports of the files in `folder`: who, and the path from src/ of what. */
function importsOf(folder: string): { file: string; target: string }[] {
  const files = globSync(`${folder}/**/*.{ts,mjs}`, { cwd: source });
  assert.ok(files.length > 0, `there is no file in src/${folder}`);
  return files.flatMap((file) => {
    const text = readFileSync(posix.join(source, file), "utf8");
    const imports = text.matchAll(
      /^(?!\s*(?:\*|\/\/)).*\b(?:from|import(?:\s*\()?)\s*"(\.[^"]*)"/gm,
    );
    return Array.from(imports, ([, path = ""]) => ({
      file,
      target: posix.join(posix.dirname(file), path),
    }));
  });
}

test("every folder has a row, and every row a folder", () => {
  assert.deepEqual(Object.keys(allowed).toSorted(), folders.toSorted());
});

test("imports are found", () => {
  const targets = importsOf("format").map(({ target }) => target);
  assert.ok(targets.includes("util/byte-string.ts"));
  assert.ok(targets.includes("format/hash.ts"));
});

for (const folder of folders) {
  const may = [folder, ...(allowed[folder] ?? [])];
  test(`${folder} imports nothing but ${may.join(", ")}`, () => {
    const wrong = importsOf(folder).filter(
      ({ target }) => !may.some((name) => target.startsWith(`${name}/`)),
    );
    assert.deepEqual(wrong, []);
  });
}
