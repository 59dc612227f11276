import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { EvaluationError } from "../author/evaluation-error.ts";
import { KilnError } from "../util/kiln-error.ts";
import { errorLines, ExitWith, exitCodeOf, toKilnError } from "./errors.ts";

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("printed errors", () => {
  test("say what happened, the code, and what to do", () => {
    const error = new KilnError("target.unknown", 'no target "ap" in kiln.build.ts', {
      hint: ".#app (others: app-test, docs, pack, site)",
    });
    assert.deepEqual(errorLines(error), [
      'kiln: error: no target "ap" in kiln.build.ts [target.unknown]',
      "  try   .#app (others: app-test, docs, pack, site)",
    ]);
  });

  test("put place and help on one line when they fit", () => {
    const error = new KilnError("file.missing", "no file ./src/mian.ts, an input of app", {
      at: "kiln.build.ts:9:18",
      hint: "./src/main.ts",
    });
    assert.deepEqual(errorLines(error), [
      "kiln: error: no file ./src/mian.ts, an input of app [file.missing]",
      "  at    kiln.build.ts:9:18    try   ./src/main.ts",
    ]);
  });

  test("put them on two lines when they do not", () => {
    const error = new KilnError("x.y", "m", { at: "a".repeat(60), hint: "b".repeat(30) });
    assert.deepEqual(errorLines(error).slice(1), [
      `  at    ${"a".repeat(60)}`,
      `  try   ${"b".repeat(30)}`,
    ]);
  });

  test("show the line of a build file and the way to it", () => {
    const error = new EvaluationError("author.thrown", "no such thing", {
      at: "kiln.build.ts:12:3",
      hint: "something else",
      excerpt: ["\tboom(1);", "\t^"],
      frames: ["helper (lib.ts:3:4)"],
    });
    assert.deepEqual(errorLines(error), [
      "kiln: error: no such thing [author.thrown]",
      "  at    kiln.build.ts:12:3",
      "          boom(1);",
      "          ^",
      "  at    helper (lib.ts:3:4)",
      "  try   something else",
    ]);
  });

  test("show no stack but with --debug, which shows the causes too", () => {
    const error = new KilnError("x.y", "m", { cause: new TypeError("deep") });
    assert.equal(errorLines(error).length, 1);
    const all = errorLines(error, { debug: true }).join("\n");
    assert.match(all, /KilnError: m\n +at /);
    assert.match(all, /caused by: TypeError: deep/);
  });

  test("say a file's trouble in words, with its name", () => {
    const error = toKilnError(thrownBy(() => readFileSync("/nonexistent/x")));
    assert.equal(error.code, "file.missing");
    assert.equal(error.message, "cannot open /nonexistent/x: no such file or directory");
  });
});

describe("exit codes", () => {
  test("bad input, failed builders and the machine's troubles are 1", () => {
    assert.equal(exitCodeOf(new KilnError("usage.flag", "m")), 1);
    assert.equal(exitCodeOf(new KilnError("build.failed", "m", { kind: "builder" })), 1);
    assert.equal(exitCodeOf(new KilnError("disk.full", "m", { kind: "internal" })), 1);
    assert.equal(exitCodeOf(thrownBy(() => readFileSync("/nonexistent/x"))), 1);
  });
  test("an unexpected exception is 2", () => {
    const error = toKilnError(new TypeError("x is undefined"));
    assert.equal(exitCodeOf(error), 2);
    assert.match(errorLines(error)[0]!, /^kiln: fault: x is undefined \[internal\]$/);
  });
  test("a command can choose its own", () => assert.equal(exitCodeOf(new ExitWith(130)), 130));
});
