import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { ByteReader } from "./byte-reader.ts";
import { PassingChunks } from "./passing-chunks.ts";

async function* sourceOf(...chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

test("a chunk's memory goes when the next one is asked for", async () => {
  const chunks = [1, 2].map((byte) => Buffer.alloc(65_536, byte));
  const passing = new PassingChunks(new ByteReader(sourceOf(...chunks)));
  const first = await passing.chunk();
  assert.equal(first?.[65_535], 1);
  const second = await passing.chunk();
  assert.equal(first.buffer.byteLength, 0);
  assert.equal(second?.[0], 2);
  assert.equal(await passing.chunk(), undefined);
  assert.equal(second.buffer.byteLength, 0);
});

test("what was given back, and what shares its memory, stays", async () => {
  const whole = Buffer.alloc(65_536, 1);
  const shared = Buffer.alloc(131_072, 2);
  const source = sourceOf(whole, shared.subarray(0, 65_536), shared.subarray(65_536));
  const passing = new PassingChunks(new ByteReader(source));
  const first = await passing.chunk();
  assert.ok(first);
  passing.unread(first.subarray(10));
  const again = await passing.chunk();
  assert.equal(again?.length, 65_526);
  await passing.chunk();
  assert.equal(whole[65_535], 1);
  await passing.chunk();
  assert.equal(shared[0], 2);
});
