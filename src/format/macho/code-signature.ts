/**
 * The signature that linkers put on Mach-O images: a list of blobs with a single one in it, a code directory, which holds a hash of
 * each page. All integers are big endian. Layouts: `cs_blobs.h` of Apple's XNU.
 */
import type { Buffer } from "node:buffer";
import { hashSize } from "../hash.ts";

/** A code directory that can be computed anew. */
export interface CodeDirectory {
  /** Where the hashes of the pages are, counted from the beginning of the signature. */
  readonly hashOffset: number;
  readonly hashSlots: number;
  readonly hashType: "sha1" | "sha256";
  /** In bytes; 0 for one hash over everything. */
  readonly pageSize: number;
}

const magic = { list: 0xfade0cc0, codeDirectory: 0xfade0c02 };
/** Ad hoc and made by the linker, nothing else. */
const linkerSigned = 0x20002;
/** The list's head, and its index of one entry. */
const listSize = 20;

/** Offsets in a code directory. */
const field = {
  size: 4,
  version: 8,
  flags: 12,
  hashOffset: 16,
  identifierOffset: 20,
  specialSlots: 24,
  codeSlots: 28,
  codeLimit: 32,
  hashSize: 36,
  hashType: 37,
  pageSize: 39,
  spare2: 40,
  scatterOffset: 44,
  teamOffset: 48,
  spare3: 52,
  codeLimit64: 56,
} as const;

/**
 * The code directory in a signature.
 *
 * @param signature the whole list of blobs
 * @param codeEnd where the signature begins in its image, which is where the signed code must end
 * @returns undefined for any signature that cannot be computed anew from the image alone
 */
export function readSignature(signature: Buffer, codeEnd: number): CodeDirectory | undefined {
  if (signature.length < listSize || signature.readUInt32BE(0) !== magic.list) return undefined;
  const size = signature.readUInt32BE(4);
  const [count, slot, offset] = [8, 12, 16].map((at) => signature.readUInt32BE(at));
  if (size !== signature.length || count !== 1 || slot !== 0 || offset !== listSize) {
    return undefined;
  }
  const directory = readDirectory(signature.subarray(listSize), codeEnd);
  return directory && { ...directory, hashOffset: directory.hashOffset + listSize };
}

function readDirectory(blob: Buffer, codeEnd: number): CodeDirectory | undefined {
  if (blob.length < field.scatterOffset) return undefined;
  const version = blob.readUInt32BE(field.version);
  const headSize = headSizeOf(version);
  if (blob.length < headSize) return undefined;
  const isPlain =
    blob.readUInt32BE(0) === magic.codeDirectory &&
    blob.readUInt32BE(field.size) === blob.length &&
    blob.readUInt32BE(field.flags) === linkerSigned &&
    blob.readUInt32BE(field.specialSlots) === 0 &&
    blob.readUInt32BE(field.spare2) === 0 &&
    (version < 0x20100 || blob.readUInt32BE(field.scatterOffset) === 0) &&
    (version < 0x20300 || blob.readUInt32BE(field.spare3) === 0);
  if (!isPlain) return undefined;

  if (!isText(blob, headSize, blob.readUInt32BE(field.identifierOffset))) return undefined;
  const teamOffset = version < 0x20200 ? 0 : blob.readUInt32BE(field.teamOffset);
  if (teamOffset !== 0 && !isText(blob, headSize, teamOffset)) return undefined;

  const codeLimit64 = version < 0x20300 ? 0n : blob.readBigUInt64BE(field.codeLimit64);
  const codeLimit = codeLimit64 === 0n ? BigInt(blob.readUInt32BE(field.codeLimit)) : codeLimit64;
  if (codeLimit !== BigInt(codeEnd)) return undefined;

  const hashType = hashTypeOf(blob[field.hashType]);
  if (hashType === undefined || blob[field.hashSize] !== hashSize(hashType)) return undefined;
  // The largest exponent whose power a signed 64-bit integer holds.
  const exponent = blob[field.pageSize] ?? 0;
  if (exponent > 62) return undefined;
  const pageSize = exponent === 0 ? 0 : 2 ** exponent;
  const hashSlots = blob.readUInt32BE(field.codeSlots);
  if (hashSlots !== (pageSize === 0 ? 1 : Math.ceil(codeEnd / pageSize))) return undefined;
  const hashOffset = blob.readUInt32BE(field.hashOffset);
  const hashEnd = hashOffset + hashSlots * hashSize(hashType);
  if (hashOffset < headSize || hashEnd > blob.length) return undefined;
  return { hashOffset, hashSlots, hashType, pageSize };
}

/** Later versions added fields to the head. */
function headSizeOf(version: number): number {
  if (version < 0x20100) return 44;
  if (version < 0x20200) return 48;
  if (version < 0x20300) return 52;
  return version < 0x20400 ? 64 : 88;
}

function hashTypeOf(code: number | undefined): "sha1" | "sha256" | undefined {
  if (code === 1) return "sha1";
  return code === 2 ? "sha256" : undefined;
}

/** Whether a text ending in NUL stands at `offset`, behind the head. */
function isText(blob: Buffer, headSize: number, offset: number): boolean {
  return offset >= headSize && offset < blob.length && blob.includes(0, offset);
}
