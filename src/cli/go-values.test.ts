import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode, type KilnError } from "../util/kiln-error.ts";
import {
  parseBoolean,
  parseCount,
  parseDuration,
  parseInteger,
  parseMode,
  parseTime,
} from "./go-values.ts";

const refused = (error: unknown): boolean => hasCode(error, "usage.value");

describe("booleans", () => {
  for (const word of ["1", "t", "T", "true", "True", "TRUE"])
    test(`${word} is true`, () => assert.equal(parseBoolean(word), true));
  for (const word of ["0", "f", "F", "false", "False", "FALSE"])
    test(`${word} is false`, () => assert.equal(parseBoolean(word), false));
  for (const word of ["", "yes", "tRUE", "maybe", "2"])
    test(`"${word}" is refused`, () => assert.throws(() => parseBoolean(word), refused));
});

describe("durations", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["+0", 0],
    ["168h", 604_800_000],
    ["168h0m0s", 604_800_000],
    ["1h30m", 5_400_000],
    ["-5m", -300_000],
    ["1.5s", 1500],
    [".5s", 500],
    ["2.s", 2000],
    ["100ms", 100],
    ["1µs", 0.001],
    ["1us", 0.001],
    ["7d", 604_800_000],
    ["1w12h", 648_000_000],
  ];
  for (const [text, milliseconds] of cases)
    test(`${text} is ${milliseconds} ms`, () => assert.equal(parseDuration(text), milliseconds));
  for (const text of ["", "5", "h", "1h 30m", "-", "1e3s", "constructor", "1constructor"])
    test(`"${text}" is refused`, () => assert.throws(() => parseDuration(text), refused));
});

describe("moments", () => {
  for (const text of ["yesterday", "2026-13-45", "", "soon"])
    test(`"${text}" is none, and it is said how one is written`, () =>
      assert.throws(
        () => parseTime(text),
        (error) => refused(error) && /as 2026-.*, or 30d/.test((error as KilnError).hint ?? ""),
      ));
});

describe("numbers", () => {
  test("whole numbers may have a sign", () => assert.equal(parseInteger("-3"), -3));
  for (const text of ["", "x", "1.5", "12x", "0x10", " 1"])
    test(`"${text}" is no whole number`, () => assert.throws(() => parseInteger(text), refused));
  test("a count is at least 1", () => assert.throws(() => parseCount("0"), refused));
  test("a mode is octal", () => assert.equal(parseMode("0660"), 0o660));
  for (const text of ["660x", "0888", "7", "rw-"])
    test(`"${text}" is no mode`, () => assert.throws(() => parseMode(text), refused));
});
