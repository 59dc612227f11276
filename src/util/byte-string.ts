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
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString("utf8");
  let text = "";
  let start = 0;
  for (let at = 0; at < buffer.length;) {
    const length = sequenceLength(buffer, at);
    if (length > 0) {
      at += length;
      continue;
    }
    text += buffer.toString("utf8", start, at) + String.fromCharCode(0xdc00 + (buffer[at] ?? 0));
    start = ++at;
  }
  return text + buffer.toString("utf8", start);
}

/** The bytes `text` stands for. A surrogate that {@link bytesToString} never makes becomes U+FFFD. */
export function stringToBytes(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, "utf8");
  const parts: Buffer[] = [];
  let start = 0;
  for (const match of text.matchAll(/[\udc80-\udcff]/gu)) {
    parts.push(Buffer.from(text.slice(start, match.index), "utf8"));
    parts.push(Buffer.from([match[0].charCodeAt(0) - 0xdc00]));
    start = match.index + 1;
  }
  parts.push(Buffer.from(text.slice(start), "utf8"));
  return Buffer.concat(parts);
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
    return Buffer.compare(stringToBytes(a), stringToBytes(b));
  }
  return a.length - b.length;
}

/** Length of the valid UTF-8 sequence at `at`, or 0. The smallest valid candidate is the only valid one. */
function sequenceLength(buffer: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= buffer.length; length++) {
    if (isUtf8(buffer.subarray(at, at + length))) return length;
  }
  return 0;
}
