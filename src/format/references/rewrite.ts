/**
 * What has to be changed in an object that refers to itself when its path changes. Offsets are those of the object's NAR; they say
 * the same of the object on disk, since rewriting changes no sizes.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { KilnError } from "../../util/kiln-error.ts";
import { uuidFromHash, uuidSize } from "../macho/uuid.ts";

/** The digest of the object's path stands at `offset`. */
export interface SelfReference {
  readonly type: "selfReference";
  readonly offset: number;
}

/** The UUID of a Mach-O image, at `uuidStart`, is made from the image up to its signature. */
export interface MachoUUID {
  readonly type: "machoUUID";
  readonly imageStart: number;
  readonly uuidStart: number;
  /** Where the signature begins. */
  readonly codeEnd: number;
}

/** The hashes of a Mach-O image's pages, at `hashOffset`, are those of the image up to its signature. */
export interface MachoSignature {
  readonly type: "machoSignature";
  readonly imageStart: number;
  readonly codeEnd: number;
  /** In bytes; 0 for one hash over everything. */
  readonly pageSize: number;
  readonly hashType: "sha1" | "sha256";
  readonly hashOffset: number;
  readonly hashSlots: number;
}

export type Rewrite = SelfReference | MachoUUID | MachoSignature;

/** Something that can be read and written anywhere, by offsets of the NAR. */
export interface RandomAccess {
  /** Exactly `length` bytes. */
  read(offset: number, length: number): Buffer;
  write(offset: number, bytes: Buffer): void;
}

/** A NAR in memory, to be rewritten in place. */
export class BufferAccess implements RandomAccess {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(offset: number, length: number): Buffer {
    return this.#bytes.subarray(offset, offset + length);
  }

  write(offset: number, bytes: Buffer): void {
    bytes.copy(this.#bytes, offset);
  }
}

/** Where a rewrite writes first. It writes nowhere else than in the file this is in. */
export function offsetOf(rewrite: Rewrite): number {
  if (rewrite.type === "selfReference") return rewrite.offset;
  return rewrite.type === "machoUUID" ? rewrite.uuidStart : rewrite.hashOffset;
}

/**
 * Changes `oldDigest` into `newDigest` at all places, then what was computed from them, in the order given.
 *
 * @throws KilnError `rewrite.mismatch` when neither digest is where the old one should be: the rewrites are of something else
 */
export function applyRewrites(
  file: RandomAccess,
  rewrites: readonly Rewrite[],
  oldDigest: string,
  newDigest: string,
): void {
  for (const rewrite of rewrites) {
    switch (rewrite.type) {
      case "selfReference":
        replaceDigest(file, rewrite.offset, oldDigest, newDigest);
        break;
      case "machoUUID":
        file.write(rewrite.uuidStart, imageUUID(file, rewrite));
        break;
      case "machoSignature":
        file.write(rewrite.hashOffset, pageHashes(file, rewrite));
        break;
    }
  }
}

function replaceDigest(file: RandomAccess, offset: number, from: string, to: string): void {
  const found = file.read(offset, from.length).toString("latin1");
  // A file with several names in the object is reached, and may have been rewritten, by each of them.
  if (found === to) return;
  if (found !== from) {
    throw new KilnError("rewrite.mismatch", `there is no digest ${from} at byte ${offset}`);
  }
  file.write(offset, Buffer.from(to, "latin1"));
}

function imageUUID(file: RandomAccess, { imageStart, uuidStart, codeEnd }: MachoUUID): Buffer {
  const hash = createHash("sha256");
  for (const piece of pieces(file, imageStart, uuidStart)) hash.update(piece);
  hash.update(Buffer.alloc(uuidSize));
  for (const piece of pieces(file, uuidStart + uuidSize, codeEnd)) hash.update(piece);
  return uuidFromHash(hash.digest());
}

function pageHashes(file: RandomAccess, signature: MachoSignature): Buffer {
  const { imageStart, codeEnd, hashType } = signature;
  const pageSize = signature.pageSize === 0 ? codeEnd - imageStart : signature.pageSize;
  const hashes: Buffer[] = [];
  for (let start = imageStart; start < codeEnd; start += pageSize) {
    const hash = createHash(hashType);
    for (const piece of pieces(file, start, Math.min(start + pageSize, codeEnd)))
      hash.update(piece);
    hashes.push(hash.digest());
  }
  if (hashes.length !== signature.hashSlots) {
    throw new KilnError("rewrite.mismatch", "the pages of a Mach-O image do not fit its signature");
  }
  return Buffer.concat(hashes);
}

function* pieces(file: RandomAccess, start: number, end: number): Generator<Buffer, void, void> {
  const size = 1024 * 1024;
  for (let at = start; at < end; at += size) yield file.read(at, Math.min(size, end - at));
}
