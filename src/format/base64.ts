/** Base 64 with the standard alphabet and its padding; Node's own decoder skips what it does not know. */
import { Buffer } from "node:buffer";

/**
 * The bytes that `text` stands for; `undefined` unless it is base 64, padded. Bits of the last character that no byte needs
 * are ignored.
 */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined;
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, "base64");
}
