/**
 * The part of the ATerm grammar that derivations use: strings, and lists and tuples of them, without white space. In a string
 * `"`, `\`, newline, carriage return and tab are written with a backslash; all other bytes stand for themselves.
 */
import { Buffer, isAscii } from "node:buffer";
import { bytesToString, stringToBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";

/** The most bytes an ATerm may have. */
export const maxAtermSize: number = 64 * 1024 * 1024;

/** The most bytes a string may have, escapes counted as what they stand for. zb refuses more than 4096. */
export const maxStringSize: number = 16 * 1024 * 1024;

const quote = 0x22;
const backslash = 0x5c;

/** What stands behind the backslash for each byte that needs one, else 0; and the reverse. */
const escapeOfByte: Uint8Array = new Uint8Array(256);
const byteOfEscape: Uint8Array = new Uint8Array(256);
for (const [byte, letter] of [
  [quote, quote],
  [backslash, backslash],
  [0x0a, 0x6e],
  [0x0d, 0x72],
  [0x09, 0x74],
] as const) {
  escapeOfByte[byte] = letter;
  byteOfEscape[letter] = byte;
}

/** `text` as an ATerm string. */
export function quoteString(text: string): string {
  return /["\\\n\r\t]/.test(text) ? bytesToString(escape(stringToBytes(text))) : `"${text}"`;
}

/** Reads an ATerm from left to right. Every method throws KilnError `drv.syntax`, with the byte offset, for anything else. */
export class AtermReader {
  readonly #bytes: Buffer;
  /** The whole text when it is ASCII, as most are: strings are then cut out of it, which is much faster. */
  readonly #ascii: string | undefined;
  #at = 0;

  /** @throws KilnError `drv.tooLarge` */
  constructor(bytes: Uint8Array) {
    if (bytes.length > maxAtermSize) {
      throw new KilnError(
        "drv.tooLarge",
        `a derivation of ${bytes.length} bytes is larger than ${maxAtermSize}`,
      );
    }
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#ascii = isAscii(this.#bytes) ? this.#bytes.toString("latin1") : undefined;
  }

  /** The offset of the next byte. */
  get offset(): number {
    return this.#at;
  }

  /** Steps over exactly these ASCII characters. */
  expect(text: string): void {
    for (let i = 0; i < text.length; i++) {
      if (this.#bytes[this.#at] !== text.charCodeAt(i)) {
        throw this.#syntax(`expected ${JSON.stringify(text[i])}`);
      }
      this.#at++;
    }
  }

  /** The elements of a list, each read by `element`. */
  list<T>(element: () => T): T[] {
    const elements: T[] = [];
    this.expect("[");
    if (this.#accept("]")) return elements;
    do elements.push(element());
    while (this.#accept(","));
    this.expect("]");
    return elements;
  }

  /** @throws KilnError `drv.tooLarge` also */
  string(): string {
    this.expect('"');
    const start = this.#at;
    let escapes = 0;
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === quote) break;
      if (byte === undefined) throw this.#syntax("expected the end of a string");
      if (byte === backslash) {
        const letter = this.#bytes[++this.#at] ?? 0;
        if (byteOfEscape[letter] === 0) throw this.#syntax("expected a known escape");
        escapes++;
      }
      this.#at++;
    }
    const end = this.#at++;
    if (end - start - escapes > maxStringSize) {
      throw new KilnError(
        "drv.tooLarge",
        `the string at byte ${start - 1} of the derivation is longer than ${maxStringSize} bytes`,
      );
    }
    if (escapes > 0) return bytesToString(unescape(this.#bytes.subarray(start, end), escapes));
    return this.#ascii?.slice(start, end) ?? bytesToString(this.#bytes.subarray(start, end));
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#at < this.#bytes.length) throw this.#syntax("expected the end");
  }

  #accept(character: string): boolean {
    if (this.#bytes[this.#at] !== character.charCodeAt(0)) return false;
    this.#at++;
    return true;
  }

  #syntax(expected: string): KilnError {
    const byte = this.#bytes[this.#at];
    const found = byte === undefined ? "the end" : JSON.stringify(String.fromCharCode(byte));
    return new KilnError(
      "drv.syntax",
      `${expected} but found ${found} at byte ${this.#at} of the derivation`,
    );
  }
}

/** `raw` in quotes and with escapes. */
function escape(raw: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(raw.length * 2 + 2);
  let size = 0;
  bytes[size++] = quote;
  for (const byte of raw) {
    const letter = escapeOfByte[byte] ?? 0;
    if (letter !== 0) bytes[size++] = backslash;
    bytes[size++] = letter === 0 ? byte : letter;
  }
  bytes[size++] = quote;
  return bytes.subarray(0, size);
}

/** `raw` with its escapes, all of which are known, replaced. */
function unescape(raw: Uint8Array, escapes: number): Buffer {
  const bytes = Buffer.allocUnsafe(raw.length - escapes);
  let to = 0;
  for (let from = 0; from < raw.length; from++) {
    const byte = raw[from] ?? 0;
    bytes[to++] = byte === backslash ? (byteOfEscape[raw[++from] ?? 0] ?? 0) : byte;
  }
  return bytes;
}
