import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Timer } from "./timer.ts";

test("a timer calls once when its time is over, and not before", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const begun = performance.now();
  let calls = 0;
  using _timer = new Timer(20, () => {
    calls++;
    resolve(performance.now() - begun);
  });
  assert.ok((await promise) >= 20);
  await delay(30);
  assert.equal(calls, 1);
});

test("a timer that is disposed of, or longer than the system's, does not call", async () => {
  const calls: string[] = [];
  new Timer(5, () => calls.push("disposed of"))[Symbol.dispose]();
  using _month = new Timer(31 * 24 * 3_600_000, () => calls.push("a month"));
  using refreshed = new Timer(31 * 24 * 3_600_000, () => calls.push("a month again"));
  refreshed.refresh();
  await delay(30);
  assert.deepEqual(calls, []);
});

test("a timer that is refreshed begins anew", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  using timer = new Timer(60, () => resolve(performance.now()));
  await delay(20);
  const anew = performance.now();
  timer.refresh();
  assert.ok((await promise) - anew >= 59);
});
