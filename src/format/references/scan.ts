/**
 * Looks for references: which of many digests occur in a stream.
 *
 * A digest is 32 characters of base 32, written as UTF-8 or as UTF-16LE (every character followed by a zero). Ordinary data seldom
 * has that many in a row, so that nearly all of it can be passed over, as Boyer and Moore do:
 *
 *     window   abcdfghi-klmnpqrsvwxyz0123456789        looked at from its end; "-" is in no digest,
 *     next              klmnpqrsvwxyz0123456789......  so the next window begins behind it
 *
 * Only what is long enough is compared with the digests.
 */
import { Buffer } from "node:buffer";
import { KilnError } from "../../util/kiln-error.ts";
import { isBase32 } from "../base32.ts";
import { digestLength } from "../store-path.ts";

const alphabet = "0123456789abcdfghijklmnpqrsvwxyz";

/** For each byte its value in the alphabet, or -1. */
const values: Int8Array = new Int8Array(256).fill(-1);
for (const [value, byte] of Buffer.from(alphabet).entries()) values[byte] = value;

/** Bytes of a digest in UTF-16. */
const wideLength = 2 * digestLength;
/** What has to be kept of a chunk: a digest may begin there and go on in the next one. */
const tailLength = wideLength - 1;

/** Finds which digests occur in a stream. Occurrences may overlap, and lie across chunks. */
export class ReferenceScanner {
  /** The digests not found yet, in UTF-8 and in UTF-16. */
  readonly #narrow: Candidates;
  readonly #wide: Candidates;
  /** The end of the stream so far. */
  readonly #tail = Buffer.alloc(tailLength);
  #tailLength = 0;

  /** @throws KilnError `path.invalid` for anything that is no digest of a store path. */
  constructor(digests: Iterable<string>) {
    const all = new Set(digests);
    for (const digest of all) {
      if (digest.length !== digestLength || !isBase32(digest)) {
        throw new KilnError("path.invalid", `${JSON.stringify(digest)} is no digest of a path`);
      }
    }
    this.#narrow = new Candidates(all);
    this.#wide = new Candidates(all);
  }

  write(chunk: Buffer): void {
    if (this.#narrow.isEmpty && this.#wide.isEmpty) return;
    if (this.#tailLength > 0) {
      // What lies across the two. What does not is looked at twice, which is no harm.
      const end = chunk.subarray(0, tailLength);
      this.#scan(Buffer.concat([this.#tail.subarray(0, this.#tailLength), end]));
    }
    this.#scan(chunk);
    this.#keepTail(chunk);
  }

  /** Whether the digest occurred so far, in either encoding. */
  hasFound(digest: string): boolean {
    return this.#narrow.found.has(digest) || this.#wide.found.has(digest);
  }

  /** The digests that occurred so far, in either encoding. */
  found(): Set<string> {
    return this.#narrow.found.union(this.#wide.found);
  }

  /** Gives the digests that occurred, and is ready for another stream. */
  restart(): Set<string> {
    const found = this.found();
    this.#narrow.reset();
    this.#wide.reset();
    this.#tailLength = 0;
    return found;
  }

  /** Those that occurred in UTF-16. */
  foundUtf16(): Set<string> {
    return new Set(this.#wide.found);
  }

  #scan(bytes: Buffer): void {
    if (!this.#narrow.isEmpty) scanNarrow(bytes, this.#narrow);
    if (!this.#wide.isEmpty) scanWide(bytes, this.#wide);
  }

  #keepTail(chunk: Buffer): void {
    const kept = Math.min(this.#tailLength, Math.max(tailLength - chunk.length, 0));
    this.#tail.copyWithin(0, this.#tailLength - kept, this.#tailLength);
    const added = Math.min(chunk.length, tailLength);
    chunk.copy(this.#tail, kept, chunk.length - added);
    this.#tailLength = kept + added;
  }
}

/** Digests to be found, with a quick answer for most texts that are none of them. */
class Candidates {
  readonly found = new Set<string>();
  /** Those not found yet, by their first four characters. */
  readonly #missing = new Map<number, Buffer[]>();
  /** One bit for each possible beginning of four characters; made when there is something to look up, which is seldom in little. */
  #beginnings: Uint32Array | undefined;

  constructor(digests: ReadonlySet<string>) {
    for (const digest of digests) this.#add(digest);
  }

  /** Forgets what was found: it is to be found again. */
  reset(): void {
    for (const digest of this.found) this.#add(digest);
    this.found.clear();
  }

  #add(digest: string): void {
    const bytes = Buffer.from(digest, "latin1");
    const beginning = bytes.subarray(0, 4).reduce(pushed, 0);
    const others = this.#missing.get(beginning) ?? [];
    this.#missing.set(beginning, [...others, bytes]);
    if (this.#beginnings !== undefined) mark(this.#beginnings, beginning);
  }

  get isEmpty(): boolean {
    return this.#missing.size === 0;
  }

  /** Looks at every text of a digest's length in a run of `length` characters, which lie `stride` bytes apart. */
  lookUp(bytes: Buffer, start: number, length: number, stride: 1 | 2): void {
    const beginnings = (this.#beginnings ??= this.#marked());
    let beginning = 0;
    for (let i = 0; i < 3; i++) beginning = pushed(beginning, bytes[start + i * stride] ?? 0);
    for (let i = 0; i + digestLength <= length; i++) {
      const at = start + i * stride;
      beginning = pushed(beginning, bytes[at + 3 * stride] ?? 0);
      const bit = (beginnings[beginning >>> 5] ?? 0) >>> (beginning & 31);
      if ((bit & 1) === 1) this.#compare(bytes, at, stride, beginning);
    }
  }

  #marked(): Uint32Array {
    const beginnings = new Uint32Array(2 ** 15);
    for (const beginning of this.#missing.keys()) mark(beginnings, beginning);
    return beginnings;
  }

  #compare(bytes: Buffer, at: number, stride: 1 | 2, beginning: number): void {
    const candidates = this.#missing.get(beginning) ?? [];
    const equal = candidates.find((digest) => stands(digest, bytes, at, stride));
    if (equal === undefined) return;
    this.found.add(equal.toString("latin1"));
    const others = candidates.filter((digest) => digest !== equal);
    if (others.length > 0) this.#missing.set(beginning, others);
    else this.#missing.delete(beginning);
  }
}

function mark(beginnings: Uint32Array, beginning: number): void {
  const word = beginning >>> 5;
  beginnings[word] = (beginnings[word] ?? 0) | (1 << (beginning & 31));
}

function stands(digest: Buffer, bytes: Buffer, at: number, stride: 1 | 2): boolean {
  for (let i = 0; i < digestLength; i++) {
    if (bytes[at + i * stride] !== digest[i]) return false;
  }
  return true;
}

/** The last four characters as a number of 20 bits, after one more. */
function pushed(beginning: number, byte: number): number {
  return ((beginning << 5) | (values[byte] ?? 0)) & 0xfffff;
}

/** UTF-8: one byte per character. */
function scanNarrow(bytes: Buffer, candidates: Candidates): void {
  let end = digestLength - 1;
  while (end < bytes.length) {
    const start = end - digestLength + 1;
    let at = end;
    while (at >= start && (values[bytes[at] ?? 0] ?? -1) >= 0) at--;
    if (at >= start) {
      end = at + digestLength;
      continue;
    }
    // A run from `start` on: what is before it is in no digest, or it would have been part of the window before.
    let runEnd = end + 1;
    while (runEnd < bytes.length && (values[bytes[runEnd] ?? 0] ?? -1) >= 0) runEnd++;
    candidates.lookUp(bytes, start, runEnd - start, 1);
    end = runEnd + digestLength;
  }
}

/**
 * UTF-16LE: each character is followed by a zero. Whatever is as long as a digest has two neighbouring bytes at `at` in some round,
 * and of these exactly one is zero. Then the run of characters around them is measured.
 */
function scanWide(bytes: Buffer, candidates: Candidates): void {
  let at = wideLength - 2;
  while (at + 1 < bytes.length) {
    const zeroFirst = bytes[at] === 0;
    const pair = zeroFirst ? at - 1 : at;
    if (zeroFirst === (bytes[at + 1] === 0) || !isWide(bytes, pair)) {
      at += wideLength - 1;
      continue;
    }
    let start = pair;
    while (start >= 2 && isWide(bytes, start - 2)) start -= 2;
    let end = pair + 2;
    while (isWide(bytes, end)) end += 2;
    const length = (end - start) / 2;
    if (length >= digestLength) candidates.lookUp(bytes, start, length, 2);
    // Nothing of another alignment can begin inside the run.
    at = end + wideLength - 2;
  }
}

function isWide(bytes: Buffer, at: number): boolean {
  return bytes[at + 1] === 0 && (values[bytes[at] ?? 0] ?? -1) >= 0;
}
