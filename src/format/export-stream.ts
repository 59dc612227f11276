/**
 * The export stream, `application/zb-store-export` on the wire and the files of `store object export`; the framing of
 * `nix-store --export`.
 *
 *     stream  = { object } 0
 *     object  = 1  NAR  "NIXE\0\0\0\0"  store path  n  reference * n  deriver  ( 0 | 1  content address )
 *
 * Numbers are unsigned 64-bit little endian, strings are the NAR's. The stream says itself where it ends: nothing after the
 * closing 0 is touched.
 */
import { Buffer } from "node:buffer";
import { bytesToString, compareBytes, stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import {
  parseContentAddress,
  printContentAddress,
  type ContentAddress,
} from "./content-address.ts";
import { encodeInteger, encodeString, paddingAfter, wordSize } from "./nar/tokens.ts";

/** What follows the NAR of an object. */
export interface ExportTrailer {
  /** As it stands in the stream: nothing says yet that it is a store path. */
  readonly storePath: string;
  /** Likewise unchecked; without duplicates and sorted by bytes. Holds the object itself if that refers to itself. */
  readonly references: readonly string[];
  /** Written empty, ignored when read. */
  readonly deriver: string;
  readonly ca: ContentAddress | undefined;
}

/** Gets the objects of a stream, one after the other. */
export interface ExportReceiver {
  /**
   * Takes bytes of the current object's NAR and stops at its end. What it throws ends the stream: without knowing where the NAR
   * ends, the next object cannot be found.
   *
   * @returns the number of bytes taken, less than `chunk` has only when the NAR ends in it
   */
  write(chunk: Buffer): number;
  /** Whether the current object's NAR is complete. */
  readonly finished: boolean;
  /** Ends the current object; the next call of `write` begins another. What it throws ends the stream, too. */
  receive(trailer: ExportTrailer): Promise<void>;
}

/** Bytes as they come, with a way to give back what was not needed. util/byte-reader.ts is one. */
export interface ByteReaderLike {
  /** The next bytes, or undefined at the end. Those before are not used any more by then. */
  chunk(): Promise<Buffer | undefined>;
  /** Puts bytes in front of those to come. */
  unread(rest: Buffer): void;
}

const maxStringLength = 4096;
const maxReferences = 100_000;
/** All references together. No store directory is so long that real references come near it. */
const maxReferenceBytes = 64 * 1024 * 1024;

const trailerStart = Buffer.from("NIXE\0\0\0\0", "latin1");

/** What stands before the NAR of an object. */
export function exportObjectHeader(): Buffer {
  return encodeInteger(1);
}

/** What stands after the NAR of an object. */
export function exportTrailer(trailer: ExportTrailer): Buffer {
  const references = [...new Set(trailer.references)].toSorted(compareBytes);
  return Buffer.concat([
    trailerStart,
    encodeString(stringToBytes(trailer.storePath)),
    encodeInteger(references.length),
    ...references.map((reference) => encodeString(stringToBytes(reference))),
    encodeString(stringToBytes(trailer.deriver)),
    ...(trailer.ca === undefined
      ? [encodeInteger(0)]
      : [encodeInteger(1), encodeString(printContentAddress(trailer.ca))]),
  ]);
}

/** What stands after the last object. */
export function exportEnd(): Buffer {
  return encodeInteger(0);
}

/**
 * Reads a stream to its end, and no further: bytes after it are given back to `input`.
 *
 * @throws KilnError `export.marker`, `export.trailer`, `export.truncated`, `ca.invalid`, or what the receiver throws
 */
export async function readExport(input: ByteReaderLike, receiver: ExportReceiver): Promise<void> {
  const bytes = new HeldBytes(input);
  try {
    for (let isFirst = true; ; isFirst = false) {
      const marker = await bytes.feed(integer());
      if (marker === 0n) return;
      if (marker !== 1n) {
        throw new KilnError(
          "export.marker",
          isFirst
            ? "this is no export stream: it begins with something else"
            : `an object of an export stream begins with ${marker}`,
          { hint: "kiln store object export makes one" },
        );
      }
      while (!receiver.finished) await bytes.pass((chunk) => receiver.write(chunk));
      await receiver.receive(await bytes.feed(trailer()));
    }
  } finally {
    bytes.giveBack();
  }
}

/** Yields how many bytes it wants, is given just those, and so on. Waits for nothing itself. */
type Parser<T> = Generator<number, T, Buffer>;

/** The chunk that is being read. */
class HeldBytes {
  readonly #input: ByteReaderLike;
  #held: Buffer = Buffer.alloc(0);

  constructor(input: ByteReaderLike) {
    this.#input = input;
  }

  /** Runs a parser to its end. Waits only when there is less in hand than it wants. */
  async feed<T>(parser: Parser<T>): Promise<T> {
    let step = parser.next();
    while (step.done !== true) {
      const length = step.value;
      const wanted = this.#held.length >= length ? this.#take(length) : await this.#gather(length);
      step = parser.next(wanted);
    }
    return step.value;
  }

  /** Has some bytes taken. */
  async pass(take: (chunk: Buffer) => number): Promise<void> {
    if (this.#held.length === 0) await this.#more();
    this.#take(take(this.#held));
  }

  giveBack(): void {
    if (this.#held.length > 0) this.#input.unread(this.#held);
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  async #gather(length: number): Promise<Buffer> {
    const gathered = Buffer.allocUnsafe(length);
    for (let at = 0; at < length;) {
      if (this.#held.length === 0) await this.#more();
      at += this.#take(length - at).copy(gathered, at);
    }
    return gathered;
  }

  async #more(): Promise<void> {
    const chunk = await this.#input.chunk();
    if (chunk === undefined) throw truncated();
    this.#held = chunk;
  }
}

function* trailer(): Parser<ExportTrailer> {
  const start = yield trailerStart.length;
  if (!start.equals(trailerStart)) {
    throw new KilnError(
      "export.trailer",
      `an object's trailer begins with ${start.toString("hex")}`,
    );
  }
  const storePath = bytesToString(yield* string());
  const references = yield* referenceList();
  const deriver = bytesToString(yield* string());
  const hasAddress = yield* integer();
  if (hasAddress > 1n) {
    throw new KilnError("export.trailer", `${hasAddress} is no end of an object`);
  }
  const ca = hasAddress === 0n ? undefined : bytesToString(yield* string());
  return {
    storePath,
    references,
    deriver,
    ca: ca === undefined ? undefined : parseContentAddress(ca),
  };
}

function* referenceList(): Parser<string[]> {
  const count = yield* integer();
  if (count > maxReferences)
    throw new KilnError("export.trailer", `${count} references are too many`);
  const references = new Set<string>();
  let bytes = 0;
  for (let i = 0n; i < count; i++) {
    const reference = yield* string();
    bytes += reference.length;
    if (bytes > maxReferenceBytes) {
      throw new KilnError("export.trailer", `references of more than ${maxReferenceBytes} bytes`);
    }
    references.add(bytesToString(reference));
  }
  return [...references].toSorted(compareBytes);
}

function* integer(): Parser<bigint> {
  return (yield wordSize).readBigUInt64LE();
}

/** A string; its padding is passed over without a look, as zb does. */
function* string(): Parser<Buffer> {
  const length = yield* integer();
  if (length > maxStringLength) {
    throw new KilnError("export.trailer", `a string of ${length} bytes in an object's trailer`);
  }
  const size = Number(length);
  const padded = yield size + paddingAfter(size);
  return padded.subarray(0, size);
}

function truncated(): KilnError {
  return new KilnError("export.truncated", "the export stream ends early");
}
