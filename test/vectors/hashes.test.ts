import assert from "node:assert/strict";
import { decodeBase32, encodeBase32, isBase32 } from "../../src/format/base32.ts";
import {
  type Hash,
  compressHash,
  hashBytes,
  hashSize,
  parseHash,
  parseHashType,
} from "../../src/format/hash.ts";
import { KilnError } from "../../src/util/kiln-error.ts";
import { vectorTests } from "./load.ts";

vectorTests("hashes", {
  nixbase32Encode: ({ hex }: { hex: string }) => ({ text: encodeBase32(Buffer.from(hex, "hex")) }),
  nixbase32Decode: ({ text }: { text: string }) => ({ hex: decodeBase32(text).toString("hex") }),
  nixbase32Validate: ({ text }: { text: string }) => {
    if (!isBase32(text)) throw new KilnError("base32.invalid", "not base 32");
    return {};
  },
  parseHash: ({ text }: { text: string }) => renderings(parseHash(text)),
  parseHashType: ({ text }: { text: string }) => {
    const type = parseHashType(text);
    return { type, size: hashSize(type) };
  },
  compressHash: ({ hex, size }: { hex: string; size: number }) => ({
    hex: compressHash(Buffer.from(hex, "hex"), size).toString("hex"),
  }),
  hashBytes: ({ type, data }: { type: string; data: string }) =>
    renderings(hashBytes(parseHashType(type), data)),
});

function renderings(hash: Hash): Record<string, string> {
  for (const text of [hash.base16(), hash.base32(), hash.base64(), hash.sri()]) {
    assert.ok(parseHash(text).equals(hash));
  }
  return {
    type: hash.type,
    base16: hash.base16(),
    base32: hash.base32(),
    base64: hash.base64(),
    sri: hash.sri(),
    rawBase16: hash.rawBase16(),
    rawBase32: hash.rawBase32(),
    rawBase64: hash.rawBase64(),
  };
}
