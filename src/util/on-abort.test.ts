import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { onAbort } from "./on-abort.ts";

test("everybody who still waits for a signal is called, once and in order, for one listener", () => {
  const controller = new AbortController();
  const called: string[] = [];
  const [first, , third] = ["a", "b", "c"].map((name) =>
    onAbort(controller.signal, () => called.push(name)),
  );
  assert.equal(getEventListeners(controller.signal, "abort").length, 1);
  first?.[Symbol.dispose]();
  controller.abort();
  controller.abort();
  third?.[Symbol.dispose]();
  assert.deepEqual(called, ["b", "c"]);
});
