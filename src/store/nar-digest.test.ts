import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { blockSize, DigestThread } from "./digest-thread.ts";
import { NarDigest } from "./nar-digest.ts";

const bytes = randomFillSync(Buffer.alloc(10 * blockSize + 5));
const sha256 = (...parts: (Buffer | string)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

async function feed(digest: NarDigest, all: Buffer, step = 65_537): Promise<void> {
  for (let at = 0; at < all.length; at += step) {
    await digest.congestion;
    digest.update(all.subarray(at, at + step));
  }
}

for (const size of [0, 1, blockSize - 1, blockSize, blockSize + 1, bytes.length]) {
  for (const expected of [0, 2 ** 30]) {
    const where = expected === 0 ? "here" : "in the thread";
    test(`the hashes of ${size} bytes, when those of many are made ${where}`, async () => {
      await using thread = new DigestThread();
      const digest = new NarDigest(thread);
      digest.expect(expected);
      const all = bytes.subarray(0, size);
      await feed(digest, all);
      const { narHash, sourceHash } = await digest.finish();
      assert.equal(narHash.rawBase16(), sha256(all));
      assert.equal(sourceHash.rawBase16(), sha256(all, "|"));
      assert.equal(thread.isRunning, expected > 0 && size > blockSize);
    });
  }
}

test("a part is hashed by itself where the whole fits into a block, and left out where not", async () => {
  await using thread = new DigestThread();
  const part = { offset: 96, size: 1000 };
  const small = new NarDigest(thread);
  small.update(bytes.subarray(0, 2000));
  const { partHash } = await small.finish(part);
  assert.equal(partHash?.rawBase16(), sha256(bytes.subarray(96, 1096)));
  const large = new NarDigest(thread);
  await feed(large, bytes);
  assert.equal((await large.finish(part)).partHash, undefined);
});

test("one thread keeps several digests apart, also where one is dropped", async () => {
  await using thread = new DigestThread();
  const digests = [1, 2, 3].map((by) => {
    const digest = new NarDigest(thread);
    digest.expect(2 ** 30);
    return { digest, all: bytes.subarray(by * 1000) };
  });
  const dropped = new NarDigest(thread);
  dropped.expect(2 ** 30);
  await Promise.all([...digests.map(({ digest, all }) => feed(digest, all)), feed(dropped, bytes)]);
  dropped.drop();
  for (const { digest, all } of digests) {
    assert.equal((await digest.finish()).narHash.rawBase16(), sha256(all));
  }
});

test("a thread that is being started is sent more at first than one that is there, but not without end", async () => {
  await using thread = new DigestThread();
  const digest = new NarDigest(thread);
  digest.expect(2 ** 30);
  const block = bytes.subarray(0, blockSize);
  const fill = (most: number): number => {
    for (let count = 0; count < most; count++) {
      if (digest.congestion !== undefined) return count;
      digest.update(block);
    }
    return most;
  };
  const atStart = fill(1000);
  assert.ok(atStart > 10 && atStart < 50, `${atStart} blocks at the start`);
  while (digest.congestion !== undefined) await digest.congestion;
  const later = fill(1000);
  assert.ok(later < 10, `${later} blocks later`);
  assert.equal(
    (await digest.finish()).narHash.rawBase16(),
    sha256(...Array.from({ length: atStart + later }, () => block)),
  );
});

test("a digest whose thread ends fails, and the next one gets a new thread", async () => {
  await using thread = new DigestThread();
  const digest = new NarDigest(thread);
  digest.expect(2 ** 30);
  await feed(digest, bytes.subarray(0, 2 * blockSize));
  await thread[Symbol.asyncDispose]();
  // It goes on to be fed until its end, and nobody waits for a thread that is gone.
  await feed(digest, bytes);
  await assert.rejects(Promise.resolve(digest.finish()), (error) => hasCode(error, "internal"));
  const next = new NarDigest(thread);
  next.expect(2 ** 30);
  await feed(next, bytes);
  assert.equal((await next.finish()).narHash.rawBase16(), sha256(bytes));
});

test("a thread that was started for later is used, and does not keep the process from ending", async () => {
  await using thread = new DigestThread();
  thread.warm();
  assert.ok(thread.isRunning);
  const digest = new NarDigest(thread);
  await feed(digest, bytes);
  assert.equal((await digest.finish()).narHash.rawBase16(), sha256(bytes));
  const script = `
    import { DigestThread } from ${JSON.stringify(new URL("./digest-thread.ts", import.meta.url).href)};
    new DigestThread().warm();
  `;
  const options = { timeout: 20_000 };
  const ended = spawnSync(process.execPath, ["--input-type=module", "--eval", script], options);
  assert.equal(ended.status, 0);
});
