import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../util/temp.ts";
import { writeWholeFile } from "./whole-file.ts";

test("a file is written whole, in the place of the one that was there", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-file-");
  const file = join(folder.path, "file");
  writeWholeFile(file, "one", { mode: 0o600, synced: true });
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeWholeFile(file, "two");
  assert.equal(readFileSync(file, "utf8"), "two");
  assert.deepEqual(readdirSync(folder.path), ["file"]);
});

test("a file that must be new replaces nothing", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-file-");
  const file = join(folder.path, "file");
  writeWholeFile(file, "one", { exclusive: true });
  assert.throws(() => writeWholeFile(file, "two", { exclusive: true }), { code: "EEXIST" });
  assert.equal(readFileSync(file, "utf8"), "one");
  assert.deepEqual(readdirSync(folder.path), ["file"]);
});

test("what could not be put in place leaves nothing", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-file-");
  const place = join(folder.path, "place");
  mkdirSync(place);
  writeFileSync(join(place, "inside"), "");
  assert.throws(() => writeWholeFile(place, "one"), { code: "EISDIR" });
  assert.deepEqual(readdirSync(folder.path), ["place"]);
});
