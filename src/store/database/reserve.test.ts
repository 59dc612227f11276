import assert from "node:assert/strict";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { KilnError } from "../../util/kiln-error.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import { Reserve } from "./reserve.ts";

const full = new KilnError("disk.full", "full", { kind: "internal" });

/** Fails so many times for want of space. */
function failing(times: number): () => Promise<number> {
  let tries = 0;
  return async () => {
    if (tries++ < times) throw full;
    return tries;
  };
}

test("space is held back, spent where there is none, and taken again", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-reserve-");
  const file = join(folder.path, "reserve");
  const reserve = new Reserve(file);
  writeFileSync(file, "half written");
  reserve.take();
  const { size, ino } = statSync(file);
  assert.ok(size >= 256 * 1024);
  reserve.take();
  assert.equal(statSync(file).ino, ino);
  assert.equal(await reserve.spend(failing(0)), 1);
  assert.equal(reserve.isSpent, false);
  assert.equal(await reserve.spend(failing(1)), 2);
  assert.equal(reserve.isSpent, true);
  assert.equal(existsSync(file), false);
  reserve.take();
  assert.equal(reserve.isSpent, false);
  assert.equal(statSync(file).size, size);
});

test("what fails with the space, too, or for another reason, fails", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-reserve-");
  const file = join(folder.path, "reserve");
  const reserve = new Reserve(file);
  reserve.take();
  await assert.rejects(
    reserve.spend(async () => {
      throw new Error("no");
    }),
    /no/,
  );
  assert.equal(existsSync(file), true);
  await assert.rejects(reserve.spend(failing(2)), full);
  assert.equal(existsSync(file), false);
});

test("where there is no space to hold back, nothing is", async () => {
  const reserve = new Reserve("/dev/null/nowhere");
  reserve.take();
  await assert.rejects(reserve.spend(failing(1)), full);
});
