/**
 * Hashes and their text forms: `type:base16`, `type:base32`, `type:base64` and SRI (`type-base64`). JSON uses SRI, object infos
 * and content addresses `type:base32`, derivations and fingerprints base 16.
 */
import { Buffer } from "node:buffer";
import { createHash, hash as hashAtOnce } from "node:crypto";
import { asBuffer, stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { decodeBase32, encodeBase32 } from "./base32.ts";
import { decodeBase64 } from "./base64.ts";

/** The hash functions there are. */
export type HashType = "md5" | "sha1" | "sha256" | "sha512";

const sizes: Readonly<Record<HashType, number>> = { md5: 16, sha1: 20, sha256: 32, sha512: 64 };

let adopt: (type: HashType, hex: string) => Hash;

/** A hash and its algorithm. */
export class Hash {
  readonly type: HashType;
  /** The digits in base 16. A buffer for the bytes would take several times as long to make, and to collect. */
  private readonly hex: string;

  static {
    adopt = (type, hex) => new Hash(type, hex);
  }

  private constructor(type: HashType, hex: string) {
    this.type = type;
    this.hex = hex;
  }

  /**
   * The hash with these bytes.
   *
   * @throws KilnError `hash.invalid` when their number is not the type's.
   */
  static of(type: HashType, bytes: Uint8Array): Hash {
    const size = hashSize(type);
    if (bytes.length !== size) {
      throw new KilnError(
        "hash.invalid",
        `a ${type} hash has ${size} bytes, these are ${bytes.length}`,
      );
    }
    return adopt(type, hexOf(bytes));
  }

  /** The raw bytes, {@link hashSize} of them: a copy. */
  get bytes(): Buffer {
    return Buffer.from(this.hex, "hex");
  }

  /** `sha256:` and lower-case base 16. */
  base16(): string {
    return `${this.type}:${this.rawBase16()}`;
  }

  /** `sha256:` and base 32. */
  base32(): string {
    return `${this.type}:${this.rawBase32()}`;
  }

  /** `sha256:` and base 64. */
  base64(): string {
    return `${this.type}:${this.rawBase64()}`;
  }

  /** `sha256-` and base 64. */
  sri(): string {
    return `${this.type}-${this.rawBase64()}`;
  }

  /** The digits alone. */
  rawBase16(): string {
    return this.hex;
  }

  /** The digits alone, in Nix's base 32. */
  rawBase32(): string {
    return encodeBase32(this.bytes);
  }

  /** The digits alone, padded. */
  rawBase64(): string {
    return this.bytes.toString("base64");
  }

  /** Whether type and bytes are the same. */
  equals(other: Hash): boolean {
    return this.type === other.type && this.hex === other.hex;
  }

  /** As {@link base32}. */
  toString(): string {
    return this.base32();
  }
}

/** The number of bytes in a hash of this type. */
export function hashSize(type: HashType): number {
  return sizes[type];
}

/** @throws KilnError `hash.invalid` unless `text` is one of the four types, in lower case. */
export function parseHashType(text: string): HashType {
  if (!isHashType(text)) {
    throw new KilnError("hash.invalid", `${JSON.stringify(text)} is not a hash type`, {
      hint: "the hash types are md5, sha1, sha256 and sha512",
    });
  }
  return text;
}

/**
 * A hash in any of its text forms. The form is told by its length; base 16 may be in either case; bits of base 64's last
 * character that no byte needs are ignored.
 *
 * @throws KilnError `hash.invalid`
 */
export function parseHash(text: string): Hash {
  const colon = text.indexOf(":");
  const separator = colon === -1 ? text.indexOf("-") : colon;
  if (separator === -1) throw invalid(text, "it does not begin with a hash type");
  const type = parseHashType(text.slice(0, separator));
  const size = hashSize(type);
  const digits = text.slice(separator + 1);
  switch (digits.length) {
    case Math.ceil(size / 3) * 4: {
      const bytes = decodeBase64(digits);
      if (bytes?.length !== size) throw invalid(text, "it is not base 64");
      return adopt(type, hexOf(bytes));
    }
    case size * 2:
      if (colon === -1) break;
      if (!/^[0-9a-fA-F]*$/.test(digits)) throw invalid(text, "it is not base 16");
      // Not the text itself: that may be a part of a longer one, and keep it in memory.
      return adopt(type, hexOf(Buffer.from(digits, "hex")));
    case Math.ceil((size * 8) / 5):
      if (colon === -1) break;
      return adopt(type, hexOf(decodeDigits(text, digits)));
  }
  throw invalid(text, `${digits.length} characters is not a length of ${type}`);
}

/** The hash of `data`; a string counts as the byte string it stands for. */
export function hashBytes(type: HashType, data: string | Uint8Array): Hash {
  return adopt(type, hashAtOnce(type, hashable(data), "hex"));
}

/** SHA-256 of the chunks one after the other; strings count as the byte strings they stand for. */
export function sha256(...chunks: readonly (string | Uint8Array)[]): Hash {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return hashBytes("sha256", first);
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(hashable(chunk));
  return adopt("sha256", hash.digest("hex"));
}

/**
 * `bytes` folded to `size` bytes: byte i is XORed into byte i mod `size` of zeros. Store paths fold SHA-256 to 20 bytes.
 *
 * @throws KilnError `hash.size` for a size that is not from 1 on
 */
export function compressHash(bytes: Uint8Array, size: number): Buffer {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new KilnError("hash.size", `a hash cannot be folded to ${size} bytes`);
  }
  const folded = Buffer.allocUnsafe(size).fill(0);
  for (let i = 0; i < bytes.length; i++) {
    folded[i % size] = (folded[i % size] ?? 0) ^ (bytes[i] ?? 0);
  }
  return folded;
}

function hexOf(bytes: Uint8Array): string {
  return asBuffer(bytes).toString("hex");
}

function isHashType(text: string): text is HashType {
  return Object.hasOwn(sizes, text);
}

/** Node hashes a string as UTF-8 itself, which is right, and quicker, unless it stands for bytes that are not UTF-8. */
function hashable(data: string | Uint8Array): string | Uint8Array {
  return typeof data === "string" && !data.isWellFormed() ? stringToBytes(data) : data;
}

function decodeDigits(text: string, digits: string): Buffer {
  try {
    return decodeBase32(digits);
  } catch (cause) {
    throw invalid(text, "it is not base 32", cause);
  }
}

function invalid(text: string, reason: string, cause?: unknown): KilnError {
  const shown = text.length > 160 ? `${text.slice(0, 160)}…` : text;
  return new KilnError("hash.invalid", `${JSON.stringify(shown)} is not a hash: ${reason}`, {
    cause,
  });
}
