import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { StreamSource } from "./stream-source.ts";

test("chunks come as they arrive, and the end leaves the other half alone", async () => {
  const stream = new PassThrough();
  const source = new StreamSource(stream);
  stream.write("a");
  assert.deepEqual(await source.next(), { done: false, value: Buffer.from("a") });
  const next = source.next();
  stream.end("b");
  assert.deepEqual(await next, { done: false, value: Buffer.from("b") });
  assert.equal((await source.next()).done, true);
  assert.equal((await source.next()).done, true);
  assert.ok(!stream.destroyed || stream.writableFinished);
});

test("a wait ends when the source is stopped", async () => {
  const source = new StreamSource(new PassThrough());
  const next = source.next();
  source.stop();
  assert.equal((await next).done, true);
});

test("what comes after discard is dropped, up to the end", async () => {
  const stream = new PassThrough({ highWaterMark: 10 });
  const source = new StreamSource(stream);
  stream.write("a".repeat(100));
  source.discard();
  const ended = new Promise((resolve) => stream.once("end", resolve));
  stream.end("b".repeat(100));
  await ended;
  assert.equal((await source.next()).done, true);
});

test("an error of the stream is thrown, now and again", async () => {
  const stream = new PassThrough();
  const source = new StreamSource(stream);
  const gone = new Error("gone");
  const next = assert.rejects(source.next(), gone);
  stream.destroy(gone);
  await next;
  await assert.rejects(source.next(), gone);
});

test("what came before an error is given before it", async () => {
  const stream = new PassThrough();
  const source = new StreamSource(stream);
  const gone = new Error("gone");
  stream.write("last words");
  stream.destroy(gone);
  assert.deepEqual(await source.next(), { done: false, value: Buffer.from("last words") });
  await assert.rejects(source.next(), gone);
});

test("a stream that closes without an end was interrupted", async () => {
  const stream = new PassThrough();
  const source = new StreamSource(stream);
  const next = assert.rejects(source.next(), (error) => hasCode(error, "socket.interrupted"));
  stream.destroy();
  await next;
});

test("nothing is taken from the stream before it is asked for", async () => {
  const stream = new PassThrough({ highWaterMark: 10 });
  const source = new StreamSource(stream);
  let writes = 0;
  while (stream.write("12345")) writes++;
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(writes < 10);
  assert.ok(stream.writableNeedDrain);
  await source.next();
});
