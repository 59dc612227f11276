/**
 * Byte strings as JavaScript strings, without loss.
 *
 * zb's strings are bytes and need not be valid UTF-8. Kiln keeps them as ordinary strings: valid UTF-8 as the text it is, and each
 * byte 0x80..0xFF that is not part of valid UTF-8 as the lone surrogate U+DC00 + byte (Python's "surrogateescape"). Valid UTF-8
 * never decodes to a lone surrogate, so the way back is exact.
 */
import { Buffer, isUtf8 } from "node:buffer";

/** The string that stands for `bytes`; {@link stringToBytes} gives exactly these bytes back. */
export function bytesToString(bytes: Uint8Array): string {
  const buffer = asBuffer(bytes);
  return isUtf8(buffer) ? buffer.toString("utf8") : decodeWithEscapes(buffer);
}

/** The same bytes in the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bytes `text` stands for. A surrogate that {@link bytesToString} never makes becomes U+FFFD. */
export function stringToBytes(text: string): Buffer {
  return text.isWellFormed() ? Buffer.from(text, "utf8") : encodeWithEscapes(text);
}

/**
 * Order of two strings by their bytes, for `sort`. JavaScript's own order compares UTF-16 units, which differs
 * from byte order only where a surrogate is met.
 */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    if (x < 0xd800 && y < 0xd800) return x - y;
    // The bytes decide within the next few, from the start of the character that differs.
    const start = i > 0 && isHighSurrogate(a.charCodeAt(i - 1)) ? i - 1 : i;
    return Buffer.compare(
      stringToBytes(a.slice(start, start + 8)),
      stringToBytes(b.slice(start, start + 8)),
    );
  }
  return a.length - b.length;
}

/** These texts in byte order, each once. */
export function sortedSet<T extends string>(texts: Iterable<T>): T[] {
  const list = [...texts];
  return isSorted(list) ? list : [...new Set(list)].toSorted(compareBytes);
}

/** Whether each text is greater than the one before it: finding that out is much cheaper than sorting. */
export function isSorted(texts: Iterable<string>): boolean {
  let previous: string | undefined;
  for (const text of texts) {
    if (previous !== undefined && compareBytes(previous, text) >= 0) return false;
    previous = text;
  }
  return true;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

// Both ways with escapes go through the text one unit at a time: it may be megabytes that somebody chose to be slow.

function decodeWithEscapes(bytes: Buffer): string {
  const units = Buffer.allocUnsafe(bytes.length * 2);
  let size = 0;
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    const first = bytes[at] ?? 0;
    let point =
      length === 0 ? 0xdc00 + first : first & (length === 1 ? 0x7f : 0xff >> (length + 1));
    for (let i = 1; i < length; i++) point = (point << 6) | ((bytes[at + i] ?? 0) & 0x3f);
    if (point >= 0x10000) {
      size = units.writeUInt16LE(0xd800 + ((point - 0x10000) >> 10), size);
      point = 0xdc00 + (point & 0x3ff);
    }
    size = units.writeUInt16LE(point, size);
    at += Math.max(length, 1);
  }
  return units.toString("utf16le", 0, size);
}

function encodeWithEscapes(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(text.length * 3);
  let size = 0;
  for (let at = 0; at < text.length; at++) {
    let point = text.codePointAt(at) ?? 0;
    if (point >= 0xdc80 && point <= 0xdcff) {
      bytes[size++] = point - 0xdc00;
      continue;
    }
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    if (point < 0x80) {
      bytes[size++] = point;
      continue;
    }
    if (point >= 0x10000) {
      at++;
      bytes[size++] = 0xf0 | (point >> 18);
      bytes[size++] = 0x80 | ((point >> 12) & 0x3f);
    } else if (point >= 0x800) bytes[size++] = 0xe0 | (point >> 12);
    bytes[size++] = point < 0x800 ? 0xc0 | (point >> 6) : 0x80 | ((point >> 6) & 0x3f);
    bytes[size++] = 0x80 | (point & 0x3f);
  }
  return Buffer.from(bytes.subarray(0, size));
}

/** Length of the valid UTF-8 sequence at `at`, or 0: neither overlong, nor a surrogate, nor beyond U+10FFFF. */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const second = bytes[at + 1] ?? 0;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const greatest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > greatest) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (let i = 2; i < length; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}
