import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../util/temp.ts";
import { Mountpoints, type Stub } from "./mountpoints.ts";

async function open(): Promise<
  { store: string; spare: string; mountpoints: Mountpoints } & AsyncDisposable
> {
  const folder = await temporaryDirectory(tmpdir(), "kiln-mountpoints-");
  const [store, spare] = [join(folder.path, "store"), join(folder.path, "spare")];
  for (const path of [store, spare]) mkdirSync(path);
  const mountpoints = new Mountpoints(store, spare);
  return { store, spare, mountpoints, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const directory: Stub = { type: "directory" };
const file: Stub = { type: "file" };

function kinds(path: string): Record<string, string> {
  const kind = (name: string): string => {
    const stats = lstatSync(join(path, name));
    if (stats.isSymbolicLink()) return `-> ${readlinkSync(join(path, name))}`;
    return stats.isDirectory() ? "directory" : "file";
  };
  return Object.fromEntries(readdirSync(path).map((name) => [name, kind(name)]));
}

test("exactly what is wanted is there, made or kept or renamed", async () => {
  await using at = await open();
  at.mountpoints.arrange(
    new Map<string, Stub>([
      ["a", directory],
      ["b", directory],
      ["f", file],
      ["l", { type: "link", target: "/x" }],
    ]),
  );
  assert.deepEqual(kinds(at.store), { a: "directory", b: "directory", f: "file", l: "-> /x" });
  const kept = ["a", "b"].map((name) => lstatSync(join(at.store, name)).ino);
  at.mountpoints.arrange(
    new Map<string, Stub>([
      ["b", directory],
      ["c", directory],
      ["l", { type: "link", target: "/y" }],
    ]),
  );
  assert.deepEqual(kinds(at.store), { b: "directory", c: "directory", l: "-> /y" });
  assert.deepEqual(
    ["c", "b"].map((name) => lstatSync(join(at.store, name)).ino),
    kept,
  );
  assert.deepEqual(Object.values(kinds(at.spare)), ["file"]);
  at.mountpoints.arrange(new Map());
  assert.deepEqual(kinds(at.store), {});
  assert.equal(readdirSync(at.spare).length, 3);
});

test("what is wanted as another type is made anew", async () => {
  await using at = await open();
  at.mountpoints.arrange(new Map([["a", directory]]));
  at.mountpoints.arrange(new Map([["a", file]]));
  assert.deepEqual(kinds(at.store), { a: "file" });
});

test("nothing is mounted on a link that took a mountpoint's place", async () => {
  await using at = await open();
  at.mountpoints.arrange(new Map([["a", directory]]));
  renameSync(join(at.store, "a"), join(at.store, "moved"));
  symlinkSync("/etc", join(at.store, "a"));
  at.mountpoints.arrange(new Map([["a", directory]]));
  assert.deepEqual(kinds(at.store), { a: "directory", moved: "directory" });
});

test("what is not a mountpoint is left alone", async () => {
  await using at = await open();
  writeFileSync(join(at.store, "output"), "");
  at.mountpoints.arrange(new Map([["a", directory]]));
  at.mountpoints.arrange(new Map());
  assert.deepEqual(kinds(at.store), { output: "file" });
  assert.ok(!at.mountpoints.has("output"));
});
