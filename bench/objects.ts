/** Store objects as export streams, made in memory before the clock starts. */
import { Buffer } from "node:buffer";
import { createHash, randomFillSync } from "node:crypto";
import { exportEnd, exportObjectHeader, exportTrailer } from "../src/format/export-stream.ts";
import { Hash } from "../src/format/hash.ts";
import { NarWriter } from "../src/format/nar/writer.ts";
import { storePathOf } from "../src/format/path-digest.ts";
import { defaultStoreDirectory, type StorePath } from "../src/format/store-path.ts";
import { compareBytes } from "../src/util/byte-string.ts";

export interface Packed {
  readonly path: StorePath;
  /** The object in the export stream, without the stream's end. */
  readonly bytes: Buffer;
}

/** A file or, given a list, a directory of files `f000000`, …, all with random content. */
export function randomObject(
  name: string,
  size: number | readonly number[],
  references: readonly StorePath[] = [],
): Packed {
  const parts: Buffer[] = [];
  const hash = createHash("sha256");
  const writer = new NarWriter((chunk) => {
    parts.push(Buffer.from(chunk));
    hash.update(chunk);
  });
  const mention = Buffer.from(references.join("\n"));
  const file = (entry: string, length: number): void => {
    writer.file(entry, false, length + mention.length);
    if (mention.length > 0) writer.data(mention);
    for (let rest = length; rest > 0; rest -= block.length) {
      randomFillSync(block, 0, Math.min(64, block.length));
      writer.data(block.subarray(0, Math.min(rest, block.length)));
    }
    writer.endFile();
  };
  if (typeof size === "number") file("", size);
  else {
    writer.directory("");
    size.forEach((length, index) => file(`f${String(index).padStart(6, "0")}`, length));
    writer.endDirectory();
  }
  writer.end();
  hash.update("|");
  const ca = { method: "recursive", hash: Hash.of("sha256", hash.digest()) } as const;
  const others = references.toSorted(compareBytes);
  const path = storePathOf(defaultStoreDirectory, name, ca, { self: false, others });
  const trailer = exportTrailer({ storePath: path, references: others, deriver: "", ca });
  return { path, bytes: Buffer.concat([exportObjectHeader(), ...parts, trailer]) };
}

const block = randomFillSync(Buffer.alloc(1024 * 1024));

/** Chunks as a client would send them. */
export function* streamOf(objects: readonly Packed[]): Generator<Buffer> {
  const size = 256 * 1024;
  let gathered: Buffer[] = [];
  let length = 0;
  for (const { bytes } of objects) {
    if (bytes.length >= size) {
      yield* gathered;
      gathered = [];
      length = 0;
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      continue;
    }
    gathered.push(bytes);
    length += bytes.length;
    if (length < size) continue;
    yield Buffer.concat(gathered);
    gathered = [];
    length = 0;
  }
  yield Buffer.concat([...gathered, exportEnd()]);
}

/** `count` objects, each of which refers to the one before (chain), or all to the first (wide). */
export function closure(shape: "chain" | "wide", count: number): Packed[] {
  const made: Packed[] = [];
  for (let index = 0; index < count; index++) {
    const to = shape === "chain" ? made.at(-1) : made[0];
    made.push(randomObject(`${shape}-${index}`, 1000, to === undefined ? [] : [to.path]));
  }
  if (shape === "wide") {
    made.push(
      randomObject(
        "wide-top",
        1000,
        made.map(({ path }) => path),
      ),
    );
  }
  return made;
}
