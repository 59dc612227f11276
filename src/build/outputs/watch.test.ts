import assert from "node:assert/strict";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { temporaryDirectory } from "../../util/temp.ts";
import { watchOutputs } from "./watch.ts";

const MiB = 1024 * 1024;

test("an output begins to go to disk again and again while it grows, once at a time", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  await using folder = await temporaryDirectory(tmpdir(), "watch-");
  const output = join(folder.path, "output");
  const told: string[] = [];
  let synced = Promise.withResolvers<void>();
  const store = {
    warm: () => void told.push("warm"),
    syncAhead: (file: string) => (told.push(file), synced.promise),
  };
  /** What is told when the file has so many bytes. */
  const at = (bytes: number): string[] => {
    writeFileSync(output, "");
    truncateSync(output, bytes);
    told.length = 0;
    t.mock.timers.tick(100);
    return told;
  };
  const watch = watchOutputs([output, join(folder.path, "absent")], store);
  assert.deepEqual(at(15 * MiB), ["warm"]);
  assert.deepEqual(at(17 * MiB), ["warm", output]);
  assert.deepEqual(at(40 * MiB), ["warm"], "one is under way");
  synced.resolve();
  await setImmediate();
  assert.deepEqual(at(41 * MiB), ["warm", output]);
  synced = Promise.withResolvers();
  await setImmediate();
  assert.deepEqual(at(42 * MiB), ["warm"], "it has grown by little");
  watch[Symbol.dispose]();
  assert.deepEqual(at(100 * MiB), []);
});

test("what cannot be looked at is left to the end", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const store = { warm: () => undefined, syncAhead: () => Promise.reject(new Error("not this")) };
  using _watch = watchOutputs([join(tmpdir(), "x".repeat(1000))], store);
  t.mock.timers.tick(500);
});

test("what is in a directory does not begin to go to disk yet", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  await using folder = await temporaryDirectory(tmpdir(), "watch-");
  const output = join(folder.path, "output");
  mkdirSync(output);
  writeFileSync(join(output, "file"), "");
  truncateSync(join(output, "file"), 100 * MiB);
  const synced: string[] = [];
  using _watch = watchOutputs([output], {
    warm: () => undefined,
    syncAhead: async (file) => void synced.push(file),
  });
  t.mock.timers.tick(500);
  assert.deepEqual(synced, []);
});
