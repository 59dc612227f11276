/** The UUID of a Mach-O image, made from a hash so that equal images have equal ones. */
import { Buffer } from "node:buffer";

export const uuidSize = 16;

/** The bits that a version-8 UUID leaves free, byte by byte. */
const freeBits = [8, 8, 8, 8, 8, 8, 4, 8, 6, 8, 8, 8, 8, 8, 8, 8];

/**
 * A version-8 UUID (RFC 9562) from any bytes: their bits, the highest of each byte first, fill the free bits of the UUID, going
 * round and XORing until all are used; the last piece is filled up with zeros on the right.
 */
export function uuidFromHash(hash: Uint8Array): Buffer {
  const uuid = Buffer.alloc(uuidSize);
  const bits = hash.length * 8;
  let at = 0;
  for (let i = 0; at < bits; i = (i + 1) % uuidSize) {
    const count = freeBits[i] ?? 0;
    uuid[i] = (uuid[i] ?? 0) ^ bitsAt(hash, at, count);
    at += count;
  }
  uuid[6] = (uuid[6] ?? 0) | 0x80;
  uuid[8] = (uuid[8] ?? 0) | 0x80;
  return uuid;
}

/** Up to 8 bits as a number; those after the end are 0. */
function bitsAt(bytes: Uint8Array, at: number, count: number): number {
  const byte = Math.floor(at / 8);
  const two = ((bytes[byte] ?? 0) << 8) | (bytes[byte + 1] ?? 0);
  return (two >> (16 - (at % 8) - count)) & ((1 << count) - 1);
}
