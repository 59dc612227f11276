import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { decompressZstd } from "./zstd.ts";

const noise = randomBytes(120);
const plain = Buffer.alloc(50_000, "kiln ");
const frames = Buffer.concat([noise, plain, noise].map((part) => zstdCompressSync(part)));
const contents = Buffer.concat([noise, plain, noise]);

/** A frame that decoders skip: a magic number, a length, and that many bytes. */
function skippable(size: number): Buffer {
  const frame = Buffer.alloc(8 + size, 0xee);
  frame.writeUInt32LE(0x184d2a53, 0);
  frame.writeUInt32LE(size, 4);
  return frame;
}

async function decompress(source: Iterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(decompressZstd(source)));
}

async function* failing(): AsyncGenerator<Buffer> {
  yield frames.subarray(0, 10);
  throw new Error("the disk is gone");
}

function cut(data: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) chunks.push(data.subarray(at, at + size));
  return chunks;
}

describe("decompressZstd", () => {
  it("reads all frames, wherever the chunks are cut", async () => {
    for (let at = 0; at <= frames.length; at++) {
      const read = await decompress([frames.subarray(0, at), frames.subarray(at)]);
      assert.ok(read.equals(contents), `cut at ${at}`);
    }
  });

  for (const size of [1, 2, 3, 7, 64, 311, 100_000]) {
    it(`reads all frames in chunks of ${size}`, async () => {
      assert.ok((await decompress(cut(frames, size))).equals(contents));
    });
  }

  for (const size of [0, 1, 1000]) {
    it(`passes over skippable frames of ${size} bytes before, between and after others`, async () => {
      const skip = skippable(size);
      const data = Buffer.concat([skip, zstdCompressSync(noise), skip, skip, frames, skip]);
      const want = Buffer.concat([noise, contents]);
      for (const chunk of [1, 5, 8, 9, data.length]) {
        assert.ok((await decompress(cut(data, chunk))).equals(want), `chunks of ${chunk}`);
      }
    });
  }

  it("takes an empty frame for no bytes", async () => {
    const empty = zstdCompressSync(Buffer.alloc(0));
    const read = await decompress([Buffer.concat([empty, empty, zstdCompressSync(noise), empty])]);
    assert.ok(read.equals(noise));
  });

  it("refuses data that end inside a frame", async () => {
    const first = zstdCompressSync(noise).length;
    const second = first + zstdCompressSync(plain).length;
    for (let end = 1; end < frames.length; end++) {
      if (end === first || end === second) continue;
      for (const size of [17, frames.length]) {
        await assert.rejects(
          decompress(cut(frames.subarray(0, end), size)),
          { code: "Z_BUF_ERROR" },
          `cut at ${end} in chunks of ${size}`,
        );
      }
    }
  });

  it("refuses what is no frame", async () => {
    await assert.rejects(decompress([Buffer.concat([frames, Buffer.from("garbage, not zstd")])]), {
      code: /^ZSTD_error_/,
    });
  });

  it("passes on errors of its source", async () => {
    await assert.rejects(Array.fromAsync(decompressZstd(failing())), /the disk is gone/);
  });

  it("takes no more of its source than is needed for what is read", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 << 20));
    let taken = 0;
    function* counted(): Generator<Buffer> {
      for (const chunk of cut(bomb, 64)) {
        taken += chunk.length;
        yield chunk;
      }
    }
    let read = 0;
    for await (const chunk of decompressZstd(counted())) {
      read += chunk.length;
      if (read > 1 << 20) break;
    }
    assert.ok(taken < bomb.length / 8, `${taken} of ${bomb.length} bytes were taken`);
  });
});
