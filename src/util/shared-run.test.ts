import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedRun } from "./shared-run.ts";

test("everybody who asks during a run shares the next one", async () => {
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  let runs = 0;
  const shared = new SharedRun(() => gates[runs++]?.promise ?? Promise.resolve());
  const first = shared.run();
  const second = shared.run();
  const third = shared.run();
  assert.equal(runs, 1);
  gates[0]?.resolve();
  await first;
  gates[1]?.resolve();
  await Promise.all([second, third]);
  assert.equal(runs, 2);
  gates[2]?.resolve();
  await shared.run();
  assert.equal(runs, 3);
});

test("a run that fails fails for those who share it only", async () => {
  const gate = Promise.withResolvers<void>();
  const works = [() => gate.promise, () => Promise.reject(new Error("second"))];
  const shared = new SharedRun(() => works.shift()?.() ?? Promise.resolve());
  const first = shared.run();
  const second = shared.run();
  gate.reject(new Error("first"));
  await assert.rejects(first, /first/);
  await assert.rejects(second, /second/);
  await shared.run();
});
