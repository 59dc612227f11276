import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "./temp.ts";

test("a temporary folder is private, new and gone after its use", async () => {
  let path = "";
  {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-temp-");
    await using other = await temporaryDirectory(tmpdir(), "kiln-temp-");
    path = folder.path;
    assert.notEqual(path, other.path);
    assert.equal(dirname(path), tmpdir());
    assert.match(basename(path), /^kiln-temp-/);
    assert.equal(statSync(path).mode & 0o777, 0o700);
  }
  assert.equal(existsSync(path), false);
});

test("a temporary folder goes with its read-only folders and without what its symlinks point at", async () => {
  await using outside = await temporaryDirectory(tmpdir(), "kiln-temp-");
  const kept = join(outside.path, "kept");
  writeFileSync(kept, "");
  let path = "";
  {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-temp-");
    path = folder.path;
    mkdirSync(join(path, "a", "b"), { recursive: true });
    writeFileSync(join(path, "a", "b", "file"), "");
    symlinkSync(outside.path, join(path, "a", "link"));
    chmodSync(join(path, "a", "b"), 0o555);
    chmodSync(join(path, "a"), 0o555);
  }
  assert.equal(existsSync(path), false);
  assert.equal(existsSync(kept), true);
});

test("a temporary folder that somebody has already removed is no error", async () => {
  const folder = await temporaryDirectory(tmpdir(), "kiln-temp-");
  await folder[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});
