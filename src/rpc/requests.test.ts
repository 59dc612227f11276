import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestMessage } from "./message.ts";
import { defaultRequestLimits, Requests, type IncomingRequest } from "./requests.ts";

function message(idText: string | undefined, method = "m", size = 10): RequestMessage {
  return {
    type: "request",
    method,
    params: {},
    id: idText,
    idText,
    extra: {},
    cancels: undefined,
    size,
  };
}

/** Requests, and what was started. */
function bookkeeping(limits: Partial<typeof defaultRequestLimits> = {}): {
  requests: Requests;
  started: IncomingRequest[];
  names: () => (string | undefined)[];
} {
  const started: IncomingRequest[] = [];
  const requests = new Requests({ ...defaultRequestLimits, ...limits }, (request) => {
    started.push(request);
  });
  return { requests, started, names: () => started.map(({ message: { idText } }) => idText) };
}

const reason = new Error("cancelled");

test("requests wait in order when as many run as may", () => {
  const { requests, started, names } = bookkeeping({ inFlight: 2 });
  for (const id of ["1", "2", "3", "4"]) assert.ok(requests.add(message(id)));
  assert.deepEqual(names(), ["1", "2"]);
  requests.finish(started[1]!);
  assert.deepEqual(names(), ["1", "2", "3"]);
  requests.finish(started[0]!);
  requests.finish(started[0]!);
  assert.deepEqual(names(), ["1", "2", "3", "4"]);
});

test("notifications and requests that only wait have limits of their own", () => {
  const { requests, names } = bookkeeping({ inFlight: 1, inFlightWaits: 2 });
  requests.add(message("1"));
  requests.add(message("2"));
  requests.add(message("3", "zb.readLog"));
  requests.add(message("4", "kiln.watch"));
  requests.add(message("5", "zb.readLog"));
  requests.add(message(undefined));
  requests.add(message(undefined, "zb.readLog"));
  assert.deepEqual(names(), ["1", "3", "4", undefined]);
});

test("connections share a bound of requests that only wait, and each has some for sure", () => {
  const shared = { limit: 5, running: 0 };
  const limits = { ...defaultRequestLimits, inFlightWaits: 4, assuredWaits: 2 };
  const [greedy, modest] = [[], []] as [IncomingRequest[], IncomingRequest[]];
  const first = new Requests(limits, (request) => greedy.push(request), shared);
  const second = new Requests(limits, (request) => modest.push(request), shared);
  for (const id of ["1", "2", "3", "4", "5"]) first.add(message(id, "zb.readLog"));
  for (const id of ["1", "2", "3", "4"]) second.add(message(id, "zb.readLog"));
  assert.deepEqual([greedy.length, modest.length], [4, 2]);
  second.finish(modest[0]!);
  assert.deepEqual([greedy.length, modest.length], [4, 3]);
  first.cancel("5", reason);
  for (const one of greedy) first.finish(one);
  assert.equal(modest.length, 3);
  second.finish(modest[1]!);
  assert.deepEqual([modest.length, shared.running], [4, 2]);
});

test("an id is taken while its request runs or waits, and free again after", () => {
  const { requests, started } = bookkeeping({ inFlight: 1 });
  assert.ok(requests.add(message("1")));
  assert.ok(requests.add(message("2")));
  assert.ok(!requests.add(message("1")));
  assert.ok(!requests.add(message("2")));
  assert.ok(requests.add(message('"1"')), "a string is another id");
  requests.finish(started[0]!);
  assert.ok(requests.add(message("1")));
});

test("null is nobody's id", () => {
  const { requests, started } = bookkeeping();
  assert.ok(requests.add(message("null")));
  assert.ok(requests.add(message("null")));
  assert.equal(requests.cancel("null", reason), undefined);
  assert.ok(!started.some(({ signal }) => signal.aborted));
});

test("a cancel aborts a request that runs, and takes back one that waits", () => {
  const { requests, started, names } = bookkeeping({ inFlight: 1 });
  for (const id of ["1", "2", "3"]) requests.add(message(id));
  const [first] = started;
  assert.ok(first);
  assert.equal(requests.cancel("1", reason), undefined);
  assert.equal(first.signal.reason, reason);
  assert.equal(requests.cancel("2", reason)?.message.idText, "2");
  assert.equal(requests.cancel("2", reason), undefined);
  assert.equal(requests.cancel("9", reason), undefined);
  requests.finish(first);
  assert.deepEqual(names(), ["1", "3"]);
});

test("a signal that is asked for after the abort is aborted", () => {
  const { requests, started } = bookkeeping();
  requests.add(message("1"));
  requests.add(message("2"));
  const { signal } = started[1]!;
  requests.abortAll(reason);
  assert.deepEqual([signal.aborted, started[0]?.signal.aborted], [true, true]);
});

test("it is full at so many that wait, or so many bytes, until something ends", async () => {
  const { requests, started } = bookkeeping({ inFlight: 1, queued: 2, heldBytes: 100 });
  requests.add(message("1"));
  requests.add(message("2"));
  assert.ok(!requests.isFull);
  requests.add(message("3"));
  assert.ok(requests.isFull);
  const room = requests.room();
  requests.finish(started[0]!);
  await room;
  assert.ok(!requests.isFull);
  requests.cancel("3", reason);
  requests.add(message("4", "m", 90));
  assert.ok(requests.isFull);
  requests.cancel("4", reason);
  assert.ok(!requests.isFull);
});

test("it is idle when nothing runs or waits", async () => {
  const { requests, started } = bookkeeping({ inFlight: 1 });
  await requests.idle();
  requests.add(message("1"));
  requests.add(message("2"));
  const idle = requests.idle();
  requests.finish(started[0]!);
  assert.ok(!requests.isIdle);
  requests.finish(started[1]!);
  await idle;
});

test("when all is aborted, what runs is told and what waits is dropped", () => {
  const { requests, started, names } = bookkeeping({ inFlight: 1 });
  for (const id of ["1", "2", undefined]) requests.add(message(id));
  requests.abortAll(reason);
  assert.ok(started.every(({ signal }) => signal.aborted));
  for (const request of started) requests.finish(request);
  assert.deepEqual(names(), ["1", undefined]);
  assert.ok(requests.isIdle);
});
