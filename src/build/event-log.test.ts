import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog } from "./event-log.ts";
import type { BuildEvent, BuildEventBody } from "./events.ts";

const clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6), monotonic: () => 0 };
const tick: BuildEventBody = { type: "tick", running: [], waiting: 0 };

async function all(events: AsyncIterable<BuildEvent>): Promise<[number, string][]> {
  const seen: [number, string][] = [];
  for await (const event of events) seen.push([event.seq, event.type]);
  return seen;
}

test("an event carries its number, its build and the time in UTC", async () => {
  const log = new EventLog("b1", clock);
  log.emit(tick);
  log.end();
  const [event] = await Array.fromAsync(log.read(0));
  assert.deepEqual(event, {
    v: 1,
    seq: 1,
    time: "2026-01-02T03:04:05.006Z",
    buildID: "b1",
    ...tick,
  });
});

test("every reader gets every event once, before, during and after", async () => {
  const log = new EventLog("b", clock);
  log.emit(tick);
  const early = all(log.read(0));
  const second = all(log.read(1));
  await new Promise(setImmediate);
  log.emit(tick);
  await new Promise(setImmediate);
  log.emit(tick);
  log.end();
  const three: [number, string][] = [
    [1, "tick"],
    [2, "tick"],
    [3, "tick"],
  ];
  assert.deepEqual(await early, three);
  assert.deepEqual(await second, three.slice(1));
  assert.deepEqual(await all(log.read(0)), three);
  assert.deepEqual(await all(log.read(3)), []);
});

test("a reader that waits stops when it is told to", async () => {
  const log = new EventLog("b", clock);
  const controller = new AbortController();
  const reading = all(log.read(0, controller.signal));
  await new Promise(setImmediate);
  controller.abort(new Error("enough"));
  await assert.rejects(reading, { message: "enough" });
});

test("a reader from before what is kept learns how much it missed", async () => {
  const log = new EventLog("b", clock, 4);
  for (let i = 0; i < 6; i++) log.emit(tick);
  log.end();
  assert.deepEqual(await all(log.read(1)), [
    [2, "dropped"],
    [3, "tick"],
    [4, "tick"],
    [5, "tick"],
    [6, "tick"],
  ]);
});
