import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../../util/kiln-error.ts";
import { ReferenceScanner } from "./scan.ts";

const digests = [
  "rvmnz3ll13vrg2gwlhbqrzzbyg4ygxlq",
  "rvmnz3ll13vrg2gwlhbqrzzbyg4ygxl0",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "0mdqa9w1p6cmli6976v4wi0sw9r4p5pr",
  "vmnz3ll13vrg2gwlhbqrzzbyg4ygxlqr",
] as const;

/** Pieces that hold digests, nearly hold them, and lie around them. */
const piece: fc.Arbitrary<Buffer> = fc.oneof(
  fc.constantFrom(...digests).map((digest) => Buffer.from(digest)),
  fc.constantFrom(...digests).map((digest) => Buffer.from(digest, "utf16le")),
  fc
    .tuple(fc.constantFrom(...digests), fc.nat(32), fc.boolean())
    .map(([digest, end, wide]) => Buffer.from(digest.slice(0, end), wide ? "utf16le" : "latin1")),
  fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
  fc.nat(80).map((length) => Buffer.alloc(length)),
  fc.nat(80).map((length) => Buffer.alloc(length, "a")),
  fc.nat(40).map((length) => Buffer.from("a".repeat(length), "utf16le")),
);

function scan(chunks: Iterable<Buffer>): ReferenceScanner {
  const scanner = new ReferenceScanner(digests);
  for (const chunk of chunks) scanner.write(chunk);
  return scanner;
}

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

function occurring(bytes: Buffer, encodings: readonly BufferEncoding[]): Set<string> {
  return new Set(
    digests.filter((digest) =>
      encodings.some((encoding) => bytes.includes(Buffer.from(digest, encoding))),
    ),
  );
}

describe("the reference scanner", () => {
  test("finds what a plain search finds, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }),
        fc.array(fc.integer({ min: 0, max: 90 }), { maxLength: 20 }),
        (pieces, sizes) => {
          const bytes = Buffer.concat(pieces);
          const scanner = scan(cut(bytes, sizes));
          assert.deepEqual(scanner.found(), occurring(bytes, ["latin1", "utf16le"]));
          assert.deepEqual(scanner.foundUtf16(), occurring(bytes, ["utf16le"]));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("finds a digest cut at any byte, at any distance from the beginning", () => {
    for (const encoding of ["latin1", "utf16le"] as const) {
      const digest = Buffer.from(digests[0], encoding);
      for (let before = 0; before < 70; before++) {
        const bytes = Buffer.concat([Buffer.alloc(before, "/"), digest, Buffer.from("/")]);
        for (let at = 0; at <= bytes.length; at++) {
          const found = scan([bytes.subarray(0, at), bytes.subarray(at)]).found();
          assert.deepEqual(
            found,
            new Set([digests[0]]),
            `${encoding} after ${before}, cut at ${at}`,
          );
        }
      }
    }
  });

  test("finds digests in chunks of one byte", () => {
    const bytes = Buffer.concat([
      Buffer.from(`-${digests[3]}-`),
      Buffer.from(digests[2], "utf16le"),
    ]);
    const scanner = scan(Array.from(bytes, (byte) => Buffer.from([byte])));
    assert.deepEqual(scanner.found(), new Set([digests[3], digests[2]]));
    assert.deepEqual(scanner.foundUtf16(), new Set([digests[2]]));
  });

  test("finds overlapping digests", () => {
    const bytes = Buffer.from(`${digests[0]}r`);
    assert.deepEqual(scan([bytes]).found(), new Set([digests[0], digests[4]]));
  });

  test("finds nothing in upper case or cut short", () => {
    const bytes = Buffer.from(`${digests[0].toUpperCase()}/${digests[3].slice(1)}/`);
    assert.deepEqual(scan([bytes]).found(), new Set());
  });

  test("without digests there is nothing to find", () => {
    const scanner = new ReferenceScanner([]);
    scanner.write(Buffer.from(digests[0]));
    assert.deepEqual(scanner.found(), new Set());
  });

  test("refuses to look for what is no digest", () => {
    for (const text of ["short", "e".repeat(32)]) {
      assert.throws(
        () => new ReferenceScanner([text]),
        (thrown) => hasCode(thrown, "path.invalid"),
      );
    }
  });
});
