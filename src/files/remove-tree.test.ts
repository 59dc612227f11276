import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryDirectory } from "../util/temp.ts";
import { freeze } from "./freeze.ts";
import { hashTree } from "./dump.ts";
import { removeTree } from "./remove-tree.ts";
import { syncTree } from "./sync-tree.ts";

/** A directory deeper than a path can be long; returns its outermost directory. */
function makeBottomless(parent: string): string {
  const name = "n".repeat(200);
  // Two halves, each short enough to be made by its path, one moved into the other until it is deep enough.
  for (let round = 0; round < 4; round++) {
    const half = join(parent, ...Array.from({ length: 15 }, () => name));
    mkdirSync(half, { recursive: true });
    writeFileSync(join(half, "file"), "x");
    if (round > 0) renameSync(join(parent, "deep"), join(half, "deeper"));
    renameSync(join(parent, name), join(parent, "deep"));
  }
  return join(parent, "deep");
}

describe("removing a tree", () => {
  test("takes away files, links, directories and special files", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    const root = join(temp.path, "root");
    mkdirSync(join(root, "a", "b"), { recursive: true });
    writeFileSync(join(root, "a", "b", "file"), "x");
    symlinkSync("nowhere", join(root, "a", "link"));
    execFileSync("mkfifo", [join(root, "fifo")]);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/bad`), Buffer.from([0xff])]), "x");
    await removeTree(root);
    assert.deepEqual(readdirSync(temp.path), []);
  });

  test("a single file, a single symlink, and nothing at all", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    writeFileSync(join(temp.path, "file"), "x");
    symlinkSync("file", join(temp.path, "link"));
    await removeTree(join(temp.path, "link"));
    assert.deepEqual(readdirSync(temp.path), ["file"]);
    await removeTree(join(temp.path, "file"));
    await removeTree(join(temp.path, "file"));
    await removeTree(join(temp.path, "no", "such", "directory"));
    assert.deepEqual(readdirSync(temp.path), []);
  });

  test("leaves what symlinks and other names lead to", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    const outside = join(temp.path, "outside");
    const root = join(temp.path, "root");
    mkdirSync(outside);
    mkdirSync(root);
    writeFileSync(join(outside, "file"), "x");
    chmodSync(outside, 0o500);
    const before = [statSync(outside).mode, statSync(join(outside, "file")).mode];
    symlinkSync(outside, join(root, "to-dir"));
    symlinkSync(join(outside, "file"), join(root, "to-file"));
    linkSync(join(outside, "file"), join(root, "same"));
    await removeTree(root);
    assert.equal(existsSync(root), false);
    assert.deepEqual([statSync(outside).mode, statSync(join(outside, "file")).mode], before);
    chmodSync(outside, 0o700);
  });

  test("a frozen tree goes, too", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    const root = join(temp.path, "root");
    mkdirSync(join(root, "a"), { recursive: true });
    writeFileSync(join(root, "a", "file"), "x");
    await freeze(root);
    await removeTree(root);
    assert.equal(existsSync(root), false);
  });

  test("thousands of files in one directory", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    const root = join(temp.path, "root");
    mkdirSync(root);
    for (let i = 0; i < 2500; i++) symlinkSync("x", join(root, `${i}`));
    await removeTree(root);
    assert.equal(existsSync(root), false);
  });

  test("trees deeper than a path can be long are hashed, frozen, synced and removed", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    const root = makeBottomless(temp.path);
    const before = readdirSync("/proc/self/fd").length;
    const { narSize } = await hashTree(root);
    assert.ok(narSize > 4 * 4096);
    await freeze(root);
    await syncTree(root);
    await removeTree(root);
    assert.deepEqual(readdirSync(temp.path), []);
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });

  test("what is added meanwhile goes, too", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-remove-");
    const root = join(temp.path, "root");
    mkdirSync(join(root, "dir"), { recursive: true });
    for (let i = 0; i < 2500; i++) symlinkSync("x", join(root, "dir", `${i}`));
    const removal = removeTree(root);
    // After the first slice of work.
    setImmediate(() => symlinkSync("x", join(root, "dir", "late")));
    await removal;
    assert.equal(existsSync(root), false);
  });
});
