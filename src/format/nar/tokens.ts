/**
 * The strings a NAR is made of. Each is a 64-bit little-endian length, the bytes, and zeros up to a multiple of 8:
 *
 *     01 00 00 00 00 00 00 00   28 00 00 00 00 00 00 00      "("
 *     length                    bytes and padding
 *
 * A *frame* is such a string whole: length, bytes and padding.
 */
import { Buffer } from "node:buffer";
import { stringToBytes } from "../../util/byte-string.ts";

/** Bytes in the length of a frame, and the multiple its size is padded to. */
export const wordSize = 8;

/** The number of zero bytes after a string of `length` bytes. */
export function paddingAfter(length: number): number {
  return (wordSize - (length % wordSize)) % wordSize;
}

/** An unsigned 64-bit little-endian integer. */
export function encodeInteger(value: number): Buffer {
  const bytes = Buffer.alloc(wordSize);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** The frame of `bytes`; a string counts as its UTF-8. */
export function encodeString(bytes: Uint8Array | string): Buffer {
  const body = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  const frame = Buffer.alloc(wordSize + body.length + paddingAfter(body.length));
  frame.writeUIntLE(body.length, 0, 6);
  frame.set(body, wordSize);
  return frame;
}

/** The frames of several strings, one after the other. */
export function encodeStrings(...strings: readonly string[]): Buffer {
  return Buffer.concat(strings.map((text) => encodeString(text)));
}

/** Integers, and the frames of strings whose bytes byte-string.ts tells, one after the other in one piece of memory. */
export function encodeSequence(parts: readonly (number | string)[]): Buffer {
  const bodies = parts.map((part) =>
    typeof part === "string" && !part.isWellFormed() ? stringToBytes(part) : part,
  );
  let size = 0;
  for (const body of bodies) size += wordSize + paddedSize(body);
  const bytes = Buffer.alloc(size);
  let at = 0;
  for (const body of bodies) {
    const length = typeof body === "number" ? body : Buffer.byteLength(body);
    bytes.writeUIntLE(length, at, 6);
    at += wordSize;
    if (typeof body === "string") bytes.write(body, at);
    else if (typeof body !== "number") bytes.set(body, at);
    at += paddedSize(body);
  }
  return bytes;
}

function paddedSize(body: number | string | Buffer): number {
  if (typeof body === "number") return 0;
  const length = Buffer.byteLength(body);
  return length + paddingAfter(length);
}

/** The longest of the format's own words is `nix-archive-1`; nothing longer than this can be one. */
export const maxTokenLength = 16;

type Token =
  | "magic"
  | "open"
  | "close"
  | "type"
  | "regular"
  | "executable"
  | "empty"
  | "contents"
  | "symlink"
  | "target"
  | "directory"
  | "entry"
  | "name"
  | "node";

/** The format's own words. */
export const tokens: Readonly<Record<Token, Buffer>> = {
  magic: encodeString("nix-archive-1"),
  open: encodeString("("),
  close: encodeString(")"),
  type: encodeString("type"),
  regular: encodeString("regular"),
  executable: encodeString("executable"),
  empty: encodeString(""),
  contents: encodeString("contents"),
  symlink: encodeString("symlink"),
  target: encodeString("target"),
  directory: encodeString("directory"),
  entry: encodeString("entry"),
  name: encodeString("name"),
  node: encodeString("node"),
};

/** Whether `bytes` has `frame` at `at`; `bytes` must be long enough. */
export function hasFrame(bytes: Uint8Array, at: number, frame: Uint8Array): boolean {
  for (let i = 0; i < frame.length; i++) {
    if (bytes[at + i] !== frame[i]) return false;
  }
  return true;
}
