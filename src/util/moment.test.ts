import assert from "node:assert/strict";
import { test } from "node:test";
import { Moment } from "./moment.ts";

test("a moment comes by itself", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let come = false;
  const moment = new Moment(1000);
  void moment.come.then(() => (come = true));
  context.mock.timers.tick(999);
  await Promise.resolve();
  assert.equal(come, false);
  context.mock.timers.tick(1);
  await moment.come;
  assert.equal(come, true);
});

test("a moment comes early when it is hurried", async () => {
  const moment = new Moment(2 ** 31 - 1);
  moment.hurry();
  await moment.come;
});
