import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hashBytes } from "../format/hash.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { Arrival, type ArrivalParts } from "./arrival.ts";
import { blockSize, DigestThread } from "./digest-thread.ts";
import { narOf } from "./store.test.support.ts";
import { Syncer } from "./syncer.ts";

interface Parts extends ArrivalParts, AsyncDisposable {
  readonly folder: string;
}

async function parts(): Promise<Parts> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryDirectory(tmpdir(), "kiln-arrival-")).path;
  const digests = stack.use(new DigestThread());
  const syncer = stack.use(new Syncer(folder, "process"));
  return { folder, digests, syncer, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Around the sizes of blocks, and small files that chunks cut. */
const sizes = [3, blockSize - 200, blockSize, 5000, 2 * blockSize + 17, 0, 70_001];
const files = Object.fromEntries(
  sizes.map((size, index) => [`f${index}`, randomFillSync(Buffer.alloc(size))]),
);
const tree = { entries: { ...files, z: { entries: { last: "end" } } } };

for (const step of [4093, 65_536, blockSize - 8, 3 * blockSize, Infinity]) {
  test(`a tree arrives whole in chunks of ${step} bytes`, async () => {
    await using context = await parts();
    const nar = narOf(tree);
    const place = join(context.folder, "tree");
    const arrival = new Arrival(context, () => ({ tree: place }));
    for (let at = 0; at < nar.length; at += step) {
      await arrival.congestion;
      const chunk = nar.subarray(at, at + step);
      assert.equal(arrival.write(Buffer.from(chunk)), chunk.length);
    }
    assert.ok(arrival.finished);
    const { narHash, narSize } = await arrival.survey(false);
    arrival.close();
    assert.equal(narHash.rawBase16(), hashBytes("sha256", nar).rawBase16());
    assert.equal(narSize, nar.length);
    for (const [name, bytes] of Object.entries(files)) {
      assert.ok(readFileSync(join(place, name)).equals(bytes), name);
    }
    assert.equal(readFileSync(join(place, "z", "last"), "latin1"), "end");
  });
}

test("what follows an object in its last chunk is not taken", async () => {
  await using context = await parts();
  const nar = narOf(randomFillSync(Buffer.alloc(100_000)));
  const arrival = new Arrival(context, () => ({ tree: join(context.folder, "file") }));
  const stream = Buffer.concat([nar, Buffer.from("more")]);
  const taken = [stream.subarray(0, 50_000), stream.subarray(50_000)].map((chunk) =>
    arrival.write(chunk),
  );
  assert.deepEqual(taken, [50_000, nar.length - 50_000]);
  const { narHash } = await arrival.survey(false);
  assert.equal(narHash.rawBase16(), hashBytes("sha256", nar).rawBase16());
});

test("what cannot be written is read to its end and dropped, also within a file", async () => {
  await using context = await parts();
  const nar = narOf({ entries: { a: randomFillSync(Buffer.alloc(3 * blockSize)), b: "small" } });
  const place = join(context.folder, "tree");
  const arrival = new Arrival(context, () => ({ tree: place }));
  let taken = 0;
  for (let at = 0; at < nar.length; at += 60_000) {
    taken += arrival.write(nar.subarray(at, at + 60_000));
    if (at > blockSize && arrival.failure === undefined) arrival.close(); // its descriptors are gone
  }
  assert.equal(taken, nar.length);
  assert.ok(arrival.finished);
  assert.ok(arrival.failure !== undefined);
  assert.throws(() => arrival.survey(false), arrival.failure);
});

test("a tree of many files begins to go to disk before its end", async (t) => {
  await using context = await parts();
  const begin = t.mock.method(context.syncer, "everything");
  const entries = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`${index}`, ""]));
  const nar = narOf({ entries });
  const arrival = new Arrival(context, () => ({ tree: join(context.folder, "many") }));
  arrival.write(nar.subarray(0, nar.length >> 1));
  assert.equal(begin.mock.callCount(), 1);
  arrival.write(nar.subarray(nar.length >> 1));
  assert.equal(begin.mock.callCount(), 2);
  arrival.close();
});
