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
import { bytesToString, sortedSet } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import {
  parseContentAddress,
  printContentAddress,
  type ContentAddress,
} from "./content-address.ts";
import { encodeInteger, encodeSequence, paddingAfter, wordSize } from "./nar/tokens.ts";

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

/** `NIXE` and four zeros, as an integer. */
const trailerStart = 0x4558494e;

/** What stands before the NAR of an object. */
export function exportObjectHeader(): Buffer {
  return encodeInteger(1);
}

/** What stands after the NAR of an object. */
export function exportTrailer(trailer: ExportTrailer): Buffer {
  const references = sortedSet(trailer.references);
  const address = trailer.ca === undefined ? [0] : [1, printContentAddress(trailer.ca)];
  return encodeSequence([
    trailerStart,
    trailer.storePath,
    references.length,
    ...references,
    trailer.deriver,
    ...address,
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
  const held = new HeldBytes(input);
  try {
    for (let isFirst = true; ; isFirst = false) {
      const marker = held.integer() ?? (await held.cutInteger());
      if (marker === 0) return;
      if (marker !== 1) {
        throw new KilnError(
          "export.marker",
          isFirst
            ? "this is no export stream: it begins with something else"
            : `an object of an export stream begins with ${marker}`,
          { hint: "kiln store object export makes one" },
        );
      }
      while (!receiver.finished) await held.pass((chunk) => receiver.write(chunk));
      await receiver.receive(await readTrailer(held));
    }
  } finally {
    held.giveBack();
  }
}

/** The chunk that is being read. Mostly what is wanted next is in it; what it has cut has to be waited for. */
class HeldBytes {
  readonly #input: ByteReaderLike;
  #bytes: Buffer = Buffer.alloc(0);
  /** How many of them were read. */
  #at = 0;

  constructor(input: ByteReaderLike) {
    this.#input = input;
  }

  /** The next integer, if it is in hand. One beyond 2^53 is rounded. */
  integer(): number | undefined {
    const at = this.#at;
    if (at + wordSize > this.#bytes.length) return undefined;
    this.#at += wordSize;
    return this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4) * 2 ** 32;
  }

  /** As {@link integer}, when it is not in hand. */
  async cutInteger(): Promise<number> {
    await this.#gather(wordSize);
    return this.integer() ?? 0;
  }

  /** The next string, if it is in hand as a whole. Its padding is passed over without a look, as zb does. */
  string(): string | undefined {
    const size = this.#stringSize();
    const start = this.#at + wordSize;
    const end = start + size;
    const next = end + paddingAfter(size);
    if (next > this.#bytes.length) return undefined;
    this.#at = next;
    return bytesToString(this.#bytes.subarray(start, end));
  }

  /** As {@link string}, when it is not in hand. */
  async cutString(): Promise<string> {
    if (this.#bytes.length - this.#at < wordSize) await this.#gather(wordSize);
    const size = this.#stringSize();
    await this.#gather(wordSize + size + paddingAfter(size));
    return this.string() ?? "";
  }

  /** Has some bytes taken. */
  async pass(take: (chunk: Buffer) => number): Promise<void> {
    if (this.#at === this.#bytes.length) await this.#more();
    this.#at += take(this.#at === 0 ? this.#bytes : this.#bytes.subarray(this.#at));
  }

  giveBack(): void {
    if (this.#at < this.#bytes.length) this.#input.unread(this.#bytes.subarray(this.#at));
  }

  /** What the string that is next says of its size; none as long as that is not in hand. */
  #stringSize(): number {
    const size = this.integer();
    if (size === undefined) return 0;
    this.#at -= wordSize;
    if (size <= maxStringLength) return size;
    throw new KilnError("export.trailer", `a string of ${size} bytes in an object's trailer`);
  }

  /** Puts so many bytes together that chunks have cut. */
  async #gather(length: number): Promise<void> {
    const gathered = Buffer.allocUnsafe(length);
    let size = this.#bytes.copy(gathered, 0, this.#at);
    while (size < length) {
      await this.#more();
      this.#at = this.#bytes.copy(gathered, size);
      size += this.#at;
      this.giveBack();
    }
    this.#bytes = gathered;
    this.#at = 0;
  }

  async #more(): Promise<void> {
    const chunk = await this.#input.chunk();
    if (chunk === undefined) throw truncated();
    this.#bytes = chunk;
    this.#at = 0;
  }
}

async function readTrailer(held: HeldBytes): Promise<ExportTrailer> {
  const start = held.integer() ?? (await held.cutInteger());
  if (start !== trailerStart) {
    throw new KilnError(
      "export.trailer",
      `an object's trailer begins with 0x${start.toString(16)}`,
    );
  }
  const storePath = held.string() ?? (await held.cutString());
  const references = await readReferences(held);
  const deriver = held.string() ?? (await held.cutString());
  const hasAddress = held.integer() ?? (await held.cutInteger());
  if (hasAddress > 1) {
    throw new KilnError("export.trailer", `${hasAddress} is no end of an object`);
  }
  const ca =
    hasAddress === 0 ? undefined : parseContentAddress(held.string() ?? (await held.cutString()));
  return { storePath, references, deriver, ca };
}

async function readReferences(held: HeldBytes): Promise<string[]> {
  const count = held.integer() ?? (await held.cutInteger());
  if (count > maxReferences)
    throw new KilnError("export.trailer", `${count} references are too many`);
  const references: string[] = [];
  let size = 0;
  for (let i = 0; i < count; i++) {
    const reference = held.string() ?? (await held.cutString());
    size += reference.length;
    if (size > maxReferenceBytes) {
      throw new KilnError("export.trailer", `references of more than ${maxReferenceBytes} bytes`);
    }
    references.push(reference);
  }
  return sortedSet(references);
}

function truncated(): KilnError {
  return new KilnError("export.truncated", "the export stream ends early");
}
