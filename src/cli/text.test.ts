import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  count,
  cutEnd,
  cutMiddle,
  duration,
  list,
  listAndMore,
  nearest,
  number,
  shortID,
  size,
  timer,
} from "./text.ts";

describe("durations", () => {
  const cases: [number, string][] = [
    [90, "0.09s"],
    [994, "0.99s"],
    [995, "1s"],
    [1000, "1s"],
    [8000, "8s"],
    [3100, "3.1s"],
    [9949, "9.9s"],
    [9950, "10s"],
    [48_000, "48s"],
    [59_600, "1m 00s"],
    [72_000, "1m 12s"],
    [7_380_000, "2h 03m"],
  ];
  for (const [milliseconds, text] of cases)
    test(`${milliseconds} ms is ${text}`, () => assert.equal(duration(milliseconds), text));
  test("precise keeps a decimal below a minute", () => {
    assert.equal(duration(12_400, { precise: true }), "12.4s");
    assert.equal(duration(59_960, { precise: true }), "1m 00s");
  });
  test("timers are whole seconds from 1 s on", () => {
    assert.deepEqual([999, 1000, 1999, 8400, 49_900, 72_500].map(timer), [
      "",
      "1s",
      "1s",
      "8s",
      "49s",
      "1m 12s",
    ]);
  });
});

test("sizes are in powers of 1024", () => {
  assert.deepEqual([0, 1023, 1024, 50_331_648, 1_610_612_736, 1_048_570].map(size), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "48 MiB",
    "1.5 GiB",
    "1.0 MiB",
  ]);
});

test("long numbers are grouped and nouns counted", () => {
  assert.equal(number(1_128_446), "1,128,446");
  assert.equal(count(1, "derivation"), "1 derivation");
  assert.equal(count(1000, "derivation"), "1,000 derivations");
});

test("the short id is the last 8 characters", () => {
  assert.equal(shortID("01a20526-4b87-7ab8-9407-db2c23eb816e"), "23eb816e");
});

test("lists and texts are cut with an ellipsis", () => {
  assert.equal(list(["a", "b"], 2), "a, b");
  assert.equal(list(["a", "b", "c"], 2), "a, b, …");
  assert.equal(listAndMore(["a", "b"], 2), "a, b");
  assert.equal(listAndMore(["a", "b", "c", "d"], 2), "a, b and 2 more");
  assert.equal(cutMiddle("abcdefghij", 5), "ab…ij");
  assert.equal(cutMiddle("abc", 5), "abc");
  assert.equal(cutEnd("abcdefghij", 5), "abcd…");
});

test("the nearest word is found when it is near", () => {
  assert.equal(nearest("ap", ["app", "docs"]), "app");
  assert.equal(nearest("./src/mian.ts", ["./src/main.ts", "./src/other.ts"]), "./src/main.ts");
  assert.equal(nearest("zzz", ["app", "docs"]), undefined);
  assert.equal(nearest("1", ["a", "b"]), undefined);
  assert.equal(nearest("ab", ["a", "b"]), "a");
});
