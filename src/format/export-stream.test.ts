import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { KilnError } from "../util/kiln-error.ts";
import { stringToBytes } from "../util/byte-string.ts";
import { parseContentAddress, printContentAddress } from "./content-address.ts";
import {
  exportEnd,
  exportObjectHeader,
  exportTrailer,
  readExport,
  type ByteReaderLike,
  type ExportReceiver,
  type ExportTrailer,
} from "./export-stream.ts";
import { ignoring, NarReader } from "./nar/reader.ts";
import { encodeInteger, encodeString, encodeStrings } from "./nar/tokens.ts";

const nar = encodeStrings("nix-archive-1", "(", "type", "regular", "contents", "hello", ")");

const trailer: ExportTrailer = {
  storePath: "/opt/zb/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt",
  references: ["/a", "/b"],
  deriver: "",
  ca: parseContentAddress("fixed:r:sha256:1qicirpsz48j7a2r5h9lj04kipdyvxanwglv9ymfq0qsv7isywdf"),
};

const stream = Buffer.concat([
  exportObjectHeader(),
  nar,
  exportTrailer(trailer),
  exportObjectHeader(),
  nar,
  exportTrailer({ ...trailer, storePath: "second", ca: undefined }),
  exportEnd(),
]);

class Collector implements ExportReceiver {
  readonly objects: { nar: Buffer; trailer: ExportTrailer }[] = [];
  #reader = new NarReader(ignoring);
  #parts: Buffer[] = [];

  write(chunk: Buffer): number {
    const taken = this.#reader.write(chunk);
    this.#parts.push(chunk.subarray(0, taken));
    return taken;
  }

  get finished(): boolean {
    return this.#reader.finished;
  }

  receive(received: ExportTrailer): Promise<void> {
    this.objects.push({ nar: Buffer.concat(this.#parts), trailer: received });
    this.#reader = new NarReader(ignoring);
    this.#parts = [];
    return Promise.resolve();
  }
}

/** A source of these chunks that says what of them was not taken. */
class Chunks implements ByteReaderLike {
  readonly #chunks: Buffer[];

  constructor(chunks: readonly Buffer[]) {
    this.#chunks = [...chunks];
  }

  chunk(): Promise<Buffer | undefined> {
    return Promise.resolve(this.#chunks.shift());
  }

  unread(rest: Buffer): void {
    if (rest.length > 0) this.#chunks.unshift(rest);
  }

  get rest(): string {
    return Buffer.concat(this.#chunks).toString("latin1");
  }
}

async function read(...chunks: readonly Buffer[]): Promise<Collector> {
  const collector = new Collector();
  await readExport(new Chunks(chunks), collector);
  return collector;
}

function failsWith(code: string, ...chunks: readonly Buffer[]): Promise<void> {
  return assert.rejects(read(...chunks), (error) => {
    return error instanceof KilnError && error.code === code && error.kind === "input";
  });
}

describe("the export stream", () => {
  test("what was written is read again", async () => {
    const { objects } = await read(stream);
    assert.deepEqual(objects, [
      { nar, trailer },
      { nar, trailer: { ...trailer, storePath: "second", ca: undefined } },
    ]);
  });

  test("a trailer is the frames of its parts, whatever bytes they stand for, and with many references", async () => {
    const references = Array.from({ length: 90_000 }, (_, index) => `/r${100_000 + index}`);
    const strange = { ...trailer, storePath: "/a\udcff\u{1F600}b", deriver: "\udc80", references };
    const frames = [
      Buffer.from("NIXE\0\0\0\0"),
      encodeString(stringToBytes(strange.storePath)),
      encodeInteger(references.length),
      ...references.map((reference) => encodeString(reference)),
      encodeString(Buffer.of(0x80)),
      encodeInteger(1),
      encodeString(printContentAddress(trailer.ca!)),
    ];
    assert.ok(exportTrailer(strange).equals(Buffer.concat(frames)));
    const { objects } = await read(
      Buffer.concat([exportObjectHeader(), nar, exportTrailer(strange), exportEnd()]),
    );
    assert.deepEqual(objects[0]?.trailer, strange);
  });

  test("chunks may end anywhere", async () => {
    const expected = (await read(stream)).objects;
    for (let cut = 0; cut <= stream.length; cut++) {
      const { objects } = await read(stream.subarray(0, cut), stream.subarray(cut));
      assert.deepEqual(objects, expected);
    }
  });

  test("nothing after the end is taken, however the chunks fall", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 200 })), async (sizes) => {
        const input = Buffer.concat([stream, Buffer.from("what follows")]);
        const chunks: Buffer[] = [];
        let at = 0;
        for (const size of sizes) {
          chunks.push(input.subarray(at, at + size));
          at += size;
        }
        chunks.push(input.subarray(at));
        const source = new Chunks(chunks);
        await readExport(source, new Collector());
        assert.equal(source.rest, "what follows");
      }),
    );
  });

  test("a stream cut at any byte is an error", async () => {
    for (let cut = 0; cut < stream.length; cut++) {
      await failsWith("export.truncated", stream.subarray(0, cut));
    }
  });

  test("another marker than 0 and 1 is an error", async () => {
    await failsWith("export.marker", encodeInteger(2));
  });

  test("a fault in a NAR ends the stream", async () => {
    await failsWith("nar.syntax", exportObjectHeader(), encodeStrings("nix-archive-2"));
  });

  test("a trailer must begin with its magic number", async () => {
    await failsWith("export.trailer", exportObjectHeader(), nar, Buffer.from("NIXF\0\0\0\0"));
  });

  test("strings of a trailer are bounded before they are read", async () => {
    const start = [exportObjectHeader(), nar, Buffer.from("NIXE\0\0\0\0")];
    const endless = Buffer.alloc(8, 0xff);
    await failsWith("export.trailer", ...start, endless);
    await failsWith("export.trailer", ...start, encodeInteger(4097));
    await failsWith("export.truncated", ...start, encodeInteger(4096));
  });

  test("the number of references is bounded before they are read", async () => {
    const start = [exportObjectHeader(), nar, Buffer.from("NIXE\0\0\0\0"), encodeString("p")];
    await failsWith("export.trailer", ...start, encodeInteger(100_001));
    await failsWith("export.truncated", ...start, encodeInteger(100_000));
  });

  test("all references together are bounded", async () => {
    const long = encodeString("r".repeat(4096));
    const count = 64 * 256 + 1;
    const start = [exportObjectHeader(), nar, Buffer.from("NIXE\0\0\0\0"), encodeString("p")];
    const references = Array.from({ length: count }, () => long);
    await failsWith("export.trailer", ...start, encodeInteger(count), ...references);
  });

  test("an address that cannot be read ends the stream", async () => {
    const bytes = Buffer.concat([exportTrailer({ ...trailer, ca: undefined })]);
    bytes.writeUInt8(1, bytes.length - 8);
    await failsWith("ca.invalid", exportObjectHeader(), nar, bytes, encodeString("text:?"));
    await failsWith("ca.invalid", exportObjectHeader(), nar, bytes, encodeString(""));
  });

  test("strings that are not UTF-8 come through unchanged", async () => {
    const odd = { ...trailer, storePath: "\udcff", references: ["\udc80"], deriver: "\udcfe" };
    const { objects } = await read(exportObjectHeader(), nar, exportTrailer(odd), exportEnd());
    assert.deepEqual(objects[0]?.trailer, odd);
  });

  test("what the receiver throws comes out", async () => {
    const collector = new Collector();
    collector.receive = () => Promise.reject(new Error("full"));
    await assert.rejects(readExport(new Chunks([stream]), collector), /full/);
  });
});
