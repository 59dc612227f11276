import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { eventStream } from "./event-stream.ts";

test("messages come as they are given, and the end with theirs", async () => {
  const stream = eventStream(async function* () {
    yield { event: "one", id: 7, data: { a: 1 } };
    yield { data: "two" };
  });
  assert.equal(
    await text(stream),
    'retry: 1000\n\nevent: one\nid: 7\ndata: {"a":1}\n\ndata: "two"\n\n',
  );
});

test("what goes wrong breaks the stream off, so that nobody takes it for the end", async () => {
  const stream = eventStream(async function* () {
    yield { data: 1 };
    throw new Error("the log is gone");
  });
  await assert.rejects(text(stream), /the log is gone/);
});

test("a reader that leaves ends the waiting, and what that throws is nobody's fault", async () => {
  const left = Promise.withResolvers<unknown>();
  const stream = eventStream(async function* (signal) {
    yield { data: 1 };
    try {
      await delay(60_000, undefined, { signal });
    } catch (error) {
      left.resolve(error);
      throw error;
    }
  });
  for await (const chunk of stream) if (String(chunk).includes("data: 1")) break;
  assert.equal((await left.promise) instanceof Error, true);
});
