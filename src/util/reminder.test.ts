import assert from "node:assert/strict";
import { test } from "node:test";
import { remindWhile } from "./reminder.ts";

test("what takes long is said more and more seldom, until it ends", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const said: number[] = [];
  const reminder = remindWhile((seconds) => said.push(seconds));
  t.mock.timers.tick(2999);
  assert.deepEqual(said, []);
  t.mock.timers.tick(1);
  assert.deepEqual(said, [3]);
  for (let second = 3; second < 25; second++) t.mock.timers.tick(1000);
  assert.deepEqual(said, [3, 6, 12, 24]);
  reminder[Symbol.dispose]();
  for (let second = 25; second < 60; second++) t.mock.timers.tick(1000);
  assert.deepEqual(said, [3, 6, 12, 24]);
});
