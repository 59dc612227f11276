import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { limitsFrom, parseLimit, parseSize } from "./limits.ts";

describe("a size", () => {
  for (const [text, bytes] of [
    ["0", 0],
    ["1048576", 1_048_576],
    ["12B", 12],
    ["1k", 1024],
    ["512M", 512 * 1024 ** 2],
    ["4GiB", 4 * 1024 ** 3],
    ["1.5 GB", 1.5 * 1024 ** 3],
    ["2T", 2 * 1024 ** 4],
  ] as const) {
    test(`${text} is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
  }

  for (const text of ["", "M", "-1", "1X", "1e9", "1MM", "0x10"]) {
    test(`${JSON.stringify(text)} is none`, () => {
      assert.throws(
        () => parseSize(text),
        (e) => hasCode(e, "usage.value"),
      );
    });
  }
});

test("limits are not negative", () => {
  assert.equal(parseLimit("duration")("90s"), 90_000);
  assert.throws(
    () => parseLimit("duration")("-1s"),
    (e) => hasCode(e, "usage.value"),
  );
});

test("flags count more than the configuration, and 0 takes a limit away", () => {
  const configured = { wallTime: 1000, memory: 5, processes: 7 };
  const flags = { maxBuildTime: 0, maxMemory: 6, maxLogSize: 8 };
  assert.deepEqual(limitsFrom(flags, configured), { memory: 6, processes: 7, logSize: 8 });
  assert.deepEqual(limitsFrom({}), {});
});
