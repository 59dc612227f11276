import assert from "node:assert/strict";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../util/temp.ts";
import { Reserve } from "./reserve.ts";

test("space is held back once, and given back once", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-reserve-");
  const file = join(folder.path, "reserve");
  const reserve = new Reserve(file);
  assert.equal(reserve.give(), false);
  writeFileSync(file, "half written");
  reserve.take();
  const { size, ino } = statSync(file);
  assert.ok(size >= 256 * 1024);
  reserve.take();
  assert.equal(statSync(file).ino, ino);
  assert.equal(reserve.give(), true);
  assert.equal(existsSync(file), false);
});

test("where there is no space to hold back, nothing is", () => {
  const reserve = new Reserve("/dev/null/nowhere");
  reserve.take();
  assert.equal(reserve.give(), false);
});
