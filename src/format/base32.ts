/**
 * Base 32 as Nix and zb write it.
 *
 * The bytes are taken as one little-endian number; character k counted from the END of the text holds its bits 5k to 5k+4. So
 * the text reads from the last byte to the first, and the few bits of the first character beyond the bytes are zero. There is
 * no padding, and e, o, t and u are left out of the alphabet.
 */
import { Buffer } from "node:buffer";
import { KilnError } from "../util/kiln-error.ts";

const alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
const codeOfDigit = Uint8Array.from(alphabet, (character) => character.charCodeAt(0));
const notADigit = 0xff;
const digitOfCode: Uint8Array = new Uint8Array(128).fill(notADigit);
for (const [digit, code] of codeOfDigit.entries()) digitOfCode[code] = digit;

/** `bytes` in base 32: ceil(8n/5) characters. */
export function encodeBase32(bytes: Uint8Array): string {
  const length = Math.ceil((bytes.length * 8) / 5);
  const text = Buffer.allocUnsafe(length);
  for (let k = 0; k < length; k++) {
    const bit = k * 5;
    const at = bit >> 3;
    const shift = bit & 7;
    const pair = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    text[length - 1 - k] = codeOfDigit[(pair >> shift) & 31] ?? 0;
  }
  return text.toString("latin1");
}

/**
 * The bytes that {@link encodeBase32} writes as `text`.
 *
 * @throws KilnError `base32.invalid`: a character outside the alphabet, surplus bits that are not zero, or a length that no
 *   number of bytes has.
 */
export function decodeBase32(text: string): Buffer {
  const size = Math.floor((text.length * 5) / 8);
  if (Math.ceil((size * 8) / 5) !== text.length) {
    throw invalid(text, `no bytes take ${text.length} characters`);
  }
  const bytes = Buffer.allocUnsafe(size).fill(0);
  for (let k = 0; k < text.length; k++) {
    const digit = digitAt(text, text.length - 1 - k);
    if (digit === notADigit) {
      throw invalid(text, `${JSON.stringify(text[text.length - 1 - k])} is not a digit`);
    }
    const bit = k * 5;
    const at = bit >> 3;
    const pair = digit << (bit & 7);
    if (at < size) bytes[at] = (bytes[at] ?? 0) | (pair & 0xff);
    if (at + 1 < size) bytes[at + 1] = (bytes[at + 1] ?? 0) | (pair >> 8);
    else if (pair >> 8 !== 0) throw invalid(text, "its surplus bits are not zero");
  }
  return bytes;
}

/**
 * Whether `text` has only digits of the alphabet and no surplus bits. Lengths that no number of bytes has are not refused here,
 * as in zb: callers know which length they want.
 */
export function isBase32(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (digitAt(text, at) === notADigit) return false;
  }
  // The digit with bits on both sides of the end of the last byte: the first one, or the second where a whole digit is surplus.
  const surplus = (text.length * 5) % 8;
  const beyond = surplus % 5;
  return beyond === 0 || digitAt(text, surplus < 5 ? 0 : 1) >> (5 - beyond) === 0;
}

function digitAt(text: string, at: number): number {
  return digitOfCode[text.charCodeAt(at)] ?? notADigit;
}

function invalid(text: string, reason: string): KilnError {
  const shown = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  return new KilnError("base32.invalid", `${JSON.stringify(shown)} is not base 32: ${reason}`);
}
