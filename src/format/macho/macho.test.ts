import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { NarWriter } from "../nar/writer.ts";
import { applyRewrites, BufferAccess, type Rewrite } from "../references/rewrite.ts";
import {
  SelfReferenceAnalyzer,
  type SelfReferenceAnalysis,
} from "../references/self-references.ts";
import { uuidFromHash } from "./uuid.ts";

const digest = "rvmnz3ll13vrg2gwlhbqrzzbyg4ygxlq";
const newDigest = "0mdqa9w1p6cmli6976v4wi0sw9r4p5pr";

interface ImageOptions {
  readonly bits?: 32 | 64;
  readonly bigEndian?: boolean;
  readonly uuid?: boolean;
  readonly hashType?: "sha1" | "sha256";
  /** Exponent of 2; 0 for one hash over everything. */
  readonly pageSize?: number;
  readonly version?: number;
  /** What is in the code; the digest, if it refers to itself. */
  readonly text?: string;
  readonly codeSize?: number;
}

interface Image {
  readonly bytes: Buffer;
  readonly codeEnd: number;
  readonly uuidStart: number | undefined;
  readonly hashOffset: number;
  readonly hashSlots: number;
  /** Offsets of fields, to be broken. */
  readonly fields: Readonly<Record<string, number>>;
}

/** A Mach-O image with one segment, a signature and as little else as there can be. */
function makeImage(options: ImageOptions = {}): Image {
  const { bits = 64, bigEndian = false, uuid = true, hashType = "sha256" } = options;
  const {
    pageSize = 12,
    version = 0x20400,
    text = `/store/${digest}-x`,
    codeSize = 9000,
  } = options;
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    if (bigEndian) bytes.writeUInt32BE(value);
    else bytes.writeUInt32LE(value);
    return bytes;
  };
  const is64 = bits === 64;
  const segmentSize = is64 ? 72 + 80 : 56 + 68;
  const segment = Buffer.concat([
    ...[is64 ? 0x19 : 0x1, segmentSize].map(u32),
    Buffer.from("__TEXT".padEnd(16, "\0")),
    Buffer.alloc((is64 ? 72 : 56) - 24 - 8),
    ...[1, 0].map(u32),
    Buffer.alloc(is64 ? 80 : 68),
  ]);
  const uuidCommand = uuid
    ? Buffer.concat([u32(0x1b), u32(24), Buffer.alloc(16, 0xee)])
    : Buffer.alloc(0);
  const other = Buffer.concat([u32(0x26), u32(16), Buffer.alloc(8)]);
  const headerSize = is64 ? 32 : 28;
  const codeEnd = codeSize;
  const commandsSize = segment.length + uuidCommand.length + other.length + 16;
  const header = Buffer.concat([
    u32(is64 ? 0xfeedfacf : 0xfeedface),
    ...[1, 0, 2, uuid ? 4 : 3, commandsSize, 0].map(u32),
    Buffer.alloc(headerSize - 28),
  ]);
  const code = Buffer.alloc(codeEnd - headerSize - commandsSize, "code");
  code.write(text, 100);
  const slotSize = hashType === "sha256" ? 32 : 20;
  const hashSlots = pageSize === 0 ? 1 : Math.ceil(codeEnd / 2 ** pageSize);
  const directoryHead = version < 0x20100 ? 44 : version < 0x20400 ? 64 : 88;
  const identifier = Buffer.from("a.out\0");
  const directory = Buffer.alloc(directoryHead + identifier.length + hashSlots * slotSize, 0);
  const fields = {
    directoryMagic: 0,
    directorySize: 4,
    flags: 12,
    identifierOffset: 20,
    specialSlots: 24,
    codeSlots: 28,
    codeLimit: 32,
    spare2: 40,
  };
  for (const [at, value] of [
    [0, 0xfade0c02],
    [4, directory.length],
    [8, version],
    [12, 0x20002],
    [16, directoryHead + identifier.length],
    [20, directoryHead],
    [28, hashSlots],
    [32, codeEnd],
  ] as const) {
    directory.writeUInt32BE(value, at);
  }
  directory[36] = slotSize;
  directory[37] = hashType === "sha256" ? 2 : 1;
  directory[39] = pageSize;
  identifier.copy(directory, directoryHead);
  directory.fill(0xdd, directoryHead + identifier.length);
  const list = Buffer.alloc(20);
  for (const [i, value] of [0xfade0cc0, 20 + directory.length, 1, 0, 20].entries()) {
    list.writeUInt32BE(value, 4 * i);
  }
  const signature = Buffer.concat([u32(0x1d), u32(16), u32(codeEnd), u32(20 + directory.length)]);
  const beforeUuid = headerSize + segment.length;
  return {
    bytes: Buffer.concat([header, segment, uuidCommand, other, signature, code, list, directory]),
    codeEnd,
    uuidStart: uuid ? beforeUuid + 8 : undefined,
    hashOffset: codeEnd + 20 + directoryHead + identifier.length,
    hashSlots,
    fields: Object.fromEntries([
      ["listMagic", codeEnd],
      ["listSize", codeEnd + 4],
      ["blobCount", codeEnd + 8],
      ["slot", codeEnd + 12],
      ["blobOffset", codeEnd + 16],
      ...Object.entries(fields).map(([name, at]) => [name, codeEnd + 20 + at] as const),
      ["commandCount", 16],
      ["commandsSize", 20],
      ["segmentSize", headerSize + 4],
      ["segmentName", headerSize + 8],
      ["sectionCount", headerSize + (is64 ? 64 : 48)],
    ]),
  };
}

/** Several images in one file, each beginning at a multiple of 64. */
function makeUniversal(images: readonly Buffer[]): { bytes: Buffer; starts: number[] } {
  const index = Buffer.alloc(8 + 20 * images.length);
  index.writeUInt32BE(0xcafebabe, 0);
  index.writeUInt32BE(images.length, 4);
  const parts: Buffer[] = [index];
  const starts: number[] = [];
  let length = index.length;
  for (const [i, image] of images.entries()) {
    const gap = (64 - (length % 64)) % 64;
    const start = length + gap;
    index.writeUInt32BE(start, 8 + 20 * i + 8);
    index.writeUInt32BE(image.length, 8 + 20 * i + 12);
    index.writeUInt32BE(6, 8 + 20 * i + 16);
    parts.push(Buffer.alloc(gap), image);
    starts.push(start);
    length = start + image.length;
  }
  return { bytes: Buffer.concat(parts), starts };
}

/** Where the contents of a NAR's only file begin. */
const contentsAt = 96;

function narOf(file: Buffer): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  writer.file("", false, file.length);
  writer.data(file);
  writer.endFile();
  writer.end();
  return Buffer.concat(chunks);
}

function analyze(nar: Buffer, searched: string, chunkSize = nar.length): SelfReferenceAnalysis {
  const analyzer = new SelfReferenceAnalyzer(searched);
  for (let at = 0; at < nar.length; at += chunkSize) {
    analyzer.write(nar.subarray(at, at + chunkSize));
  }
  return analyzer.finish();
}

function rewritesOf(file: Buffer): readonly Rewrite[] {
  return analyze(narOf(file), digest).rewrites;
}

/** The digest at `offset` of a NAR's only file. */
function plainAt(offset: number): Rewrite {
  return { type: "selfReference", offset: contentsAt + offset };
}

/** What is to be rewritten of an image that begins at `start` of a NAR's only file. */
function expectedRewrites(image: Image, start: number, options: ImageOptions): Rewrite[] {
  const { hashType = "sha256", pageSize = 12 } = options;
  const imageStart = contentsAt + start;
  const codeEnd = imageStart + image.codeEnd;
  return [
    plainAt(start + image.bytes.indexOf(digest)),
    ...(image.uuidStart === undefined
      ? []
      : [
          {
            type: "machoUUID",
            imageStart,
            uuidStart: imageStart + image.uuidStart,
            codeEnd,
          } as const,
        ]),
    {
      type: "machoSignature",
      imageStart,
      codeEnd,
      pageSize: pageSize === 0 ? 0 : 2 ** pageSize,
      hashType,
      hashOffset: imageStart + image.hashOffset,
      hashSlots: image.hashSlots,
    },
  ];
}

const someImages: readonly ImageOptions[] = [
  {},
  { bits: 32 },
  { bigEndian: true },
  { bits: 32, bigEndian: true, hashType: "sha1" },
  { uuid: false },
  { pageSize: 0 },
  { pageSize: 14 },
  { pageSize: 5 },
  { version: 0x20001 },
  { version: 0x20300 },
];

describe("Mach-O images", () => {
  for (const options of someImages) {
    const name = JSON.stringify(options);

    test(`an image ${name} that refers to itself has its UUID and signature rewritten`, () => {
      const image = makeImage(options);
      assert.deepEqual(rewritesOf(image.bytes), expectedRewrites(image, 0, options));
    });

    test(`an image ${name} is right in itself after rewriting, and has the same address`, () => {
      const image = makeImage(options);
      const nar = narOf(image.bytes);
      const before = analyze(nar, digest);
      applyRewrites(new BufferAccess(nar), before.rewrites, digest, newDigest);
      assert.deepEqual(analyze(nar, newDigest), before);

      const rewritten = nar.subarray(contentsAt);
      const code = rewritten.subarray(0, image.codeEnd);
      const pageSize = options.pageSize === 0 ? code.length : 2 ** (options.pageSize ?? 12);
      const hashes: Buffer[] = [];
      for (let at = 0; at < code.length; at += pageSize) {
        const page = code.subarray(at, at + pageSize);
        hashes.push(
          createHash(options.hashType ?? "sha256")
            .update(page)
            .digest(),
        );
      }
      const expected = Buffer.concat(hashes);
      const found = rewritten.subarray(image.hashOffset, image.hashOffset + expected.length);
      assert.deepEqual(found, expected);
    });
  }

  test("chunks of any size give the same", () => {
    const nar = narOf(makeUniversal([makeImage().bytes, makeImage({ bits: 32 }).bytes]).bytes);
    const whole = analyze(nar, digest);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (chunkSize) => {
        assert.deepEqual(analyze(nar, digest, chunkSize), whole);
      }),
      { numRuns: 20 },
    );
  });

  test("an image that does not refer to itself is plain", () => {
    assert.deepEqual(rewritesOf(makeImage({ text: "nothing" }).bytes), []);
  });

  test("an image with the digest only behind its code is plain", () => {
    const image = makeImage({ text: "nothing" });
    const file = Buffer.concat([image.bytes, Buffer.from(digest)]);
    assert.deepEqual(rewritesOf(file), [plainAt(image.bytes.length)]);
  });

  test("what follows an image in its file is rewritten after it", () => {
    const image = makeImage();
    const file = Buffer.concat([image.bytes, Buffer.from(digest)]);
    const expected = [...expectedRewrites(image, 0, {}), plainAt(image.bytes.length)];
    assert.deepEqual(rewritesOf(file), expected);
  });

  test("a digest that begins in the code and ends in the signature counts as in the code", () => {
    const image = makeImage({ text: "nothing" });
    image.bytes.write(digest, image.codeEnd - 1);
    // The signature is broken by it, so the file is plain, with a self reference.
    assert.deepEqual(rewritesOf(image.bytes), [plainAt(image.codeEnd - 1)]);
  });

  test("a broken field makes an image plain", () => {
    const { fields } = makeImage();
    for (const [name, at] of Object.entries(fields)) {
      const { bytes } = makeImage();
      bytes.writeUInt8((bytes[at + 3] ?? 0) ^ 0x40, at + 3);
      const plain = [plainAt(bytes.indexOf(digest))];
      assert.deepEqual(rewritesOf(bytes), plain, name);
    }
  });

  test("an image cut short anywhere is plain", () => {
    const image = makeImage();
    const at = image.bytes.indexOf(digest);
    for (let length = 0; length < image.bytes.length; length += 37) {
      const expected = length < at + 32 ? [] : [plainAt(at)];
      assert.deepEqual(rewritesOf(image.bytes.subarray(0, length)), expected, `${length} bytes`);
    }
  });

  test("images of a universal file are rewritten one by one, whatever the order of the index", () => {
    const options = [{}, { text: "nothing" }, { bits: 32, uuid: false }] as const;
    const images = options.map((option) => makeImage(option));
    const { bytes, starts } = makeUniversal(images.map((image) => image.bytes));
    const expected = [
      ...expectedRewrites(images[0] ?? assert.fail(), starts[0] ?? 0, options[0]),
      ...expectedRewrites(images[2] ?? assert.fail(), starts[2] ?? 0, options[2]),
    ];
    assert.deepEqual(rewritesOf(bytes), expected);

    const entries = [0, 1, 2].map((i) => Buffer.from(bytes.subarray(8 + 20 * i, 28 + 20 * i)));
    Buffer.concat(entries.toReversed()).copy(bytes, 8);
    assert.deepEqual(rewritesOf(bytes), expected);
  });

  test("an image of a universal file that overlaps the one before it is plain", () => {
    const images = [makeImage(), makeImage()];
    const { bytes, starts } = makeUniversal(images.map((image) => image.bytes));
    const first = images[0] ?? assert.fail();
    bytes.writeUInt32BE((starts[1] ?? 0) - (starts[0] ?? 0) + 1, 8 + 12);
    const found = rewritesOf(bytes).filter(({ type }) => type === "machoSignature");
    assert.deepEqual(found, expectedRewrites(first, starts[0] ?? 0, {}).slice(-1));
  });

  test("a file that only begins like a universal one is plain", () => {
    const javaClass = Buffer.concat([
      Buffer.from("cafebabe00000041", "hex"),
      Buffer.from(`constant pool ${digest} `.repeat(60)),
    ]);
    const found = rewritesOf(javaClass);
    assert.equal(found.length, 60);
    assert.ok(found.every(({ type }) => type === "selfReference"));
  });

  test("memory is asked for small parts only, however large the image", () => {
    const sizes: number[] = [];
    const nar = narOf(makeImage({ codeSize: 20_000_000, pageSize: 14 }).bytes);
    const analyzer = new SelfReferenceAnalyzer(digest, (size) => {
      sizes.push(size);
      return Buffer.alloc(size);
    });
    analyzer.write(nar);
    assert.equal(analyzer.finish().rewrites.length, 3);
    assert.ok(sizes.length > 0 && Math.max(...sizes) < 100_000);
  });
});

describe("UUIDs from hashes", () => {
  test("fill the free bits in order, going round", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (hash) => {
        const free = [8, 8, 8, 8, 8, 8, 4, 8, 6, 8, 8, 8, 8, 8, 8, 8];
        let bits = Array.from(hash, (byte) => byte.toString(2).padStart(8, "0")).join("");
        const bytes = Array.from({ length: 16 }, () => 0);
        for (let i = 0; bits !== ""; i = (i + 1) % 16) {
          const count = free[i] ?? 0;
          bytes[i] = (bytes[i] ?? 0) ^ Number.parseInt(bits.slice(0, count).padEnd(count, "0"), 2);
          bits = bits.slice(count);
        }
        bytes[6] = (bytes[6] ?? 0) | 0x80;
        bytes[8] = (bytes[8] ?? 0) | 0x80;
        assert.deepEqual([...uuidFromHash(hash)], bytes);
      }),
    );
  });
});
