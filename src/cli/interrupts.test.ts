import assert from "node:assert/strict";
import { test } from "node:test";
import { Interrupts } from "./interrupts.ts";

test("without a handler the first signal leaves with the shell's code", () => {
  const left: number[] = [];
  new Interrupts((code) => left.push(code)).receive("SIGINT");
  new Interrupts((code) => left.push(code)).receive("SIGTERM");
  assert.deepEqual(left, [130, 143]);
});

test("a handler takes the first signal, the second one leaves", () => {
  const left: number[] = [];
  const handled: string[] = [];
  const interrupts = new Interrupts((code) => left.push(code));
  using _handling = interrupts.handle((signal) => handled.push(signal));
  interrupts.receive("SIGINT");
  assert.deepEqual([handled, left], [["SIGINT"], []]);
  interrupts.receive("SIGINT");
  assert.deepEqual([handled, left], [["SIGINT"], [130]]);
});

test("a reader that goes away during the first signal's work is no second signal", () => {
  const left: number[] = [];
  const interrupts = new Interrupts((code) => left.push(code));
  using _handling = interrupts.handle(() => {});
  interrupts.receive("SIGINT");
  interrupts.receive("SIGPIPE");
  assert.deepEqual(left, []);
});

test("a handler that was disposed of is not called", () => {
  const left: number[] = [];
  const interrupts = new Interrupts((code) => left.push(code));
  interrupts.handle(() => assert.fail("called"))[Symbol.dispose]();
  interrupts.receive("SIGTERM");
  assert.deepEqual(left, [143]);
});
