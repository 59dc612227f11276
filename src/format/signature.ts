/**
 * Signatures over realizations: Ed25519 over the canonical JSON (RFC 8785) of the equivalence class, the output path and the
 * reference classes. Whoever trusts a key can take its owner's word for what a derivation makes.
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { KilnError } from "../util/kiln-error.ts";
import { decodeBase64 } from "./base64.ts";
import {
  hashToJson,
  publicKeyToJson,
  referenceClassToJson,
  sortReferenceClasses,
  type EquivalenceClass,
  type PublicKey,
  type Realization,
  type RealizationSignature,
} from "./realization.ts";

const ed25519 = "ed25519";
const seedSize = 32;
const publicKeySize = 32;
const signatureSize = 64;

/** What stands before a seed in PKCS #8 and before a public key in SPKI (RFC 8410), the forms that Node reads. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** A private Ed25519 key. Neither printing nor inspecting the object shows it; {@link SigningKey.print} does. */
export class SigningKey implements PublicKey {
  readonly format: typeof ed25519 = ed25519;
  readonly publicKey: Buffer;
  readonly #seed: Buffer;
  readonly #key: KeyObject;

  private constructor(seed: Uint8Array) {
    this.#seed = Buffer.from(seed);
    const der = Buffer.concat([pkcs8Prefix, this.#seed]);
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const spki = createPublicKey(this.#key).export({ format: "der", type: "spki" });
    this.publicKey = spki.subarray(spkiPrefix.length);
  }

  /**
   * The key of 32 bytes, which must be random and secret.
   *
   * @throws KilnError `key.invalid` for another number of bytes.
   */
  static fromSeed(seed: Uint8Array): SigningKey {
    if (seed.length !== seedSize) {
      throw new KilnError(
        "key.invalid",
        `an ed25519 key has ${seedSize} bytes, not ${seed.length}`,
      );
    }
    return new SigningKey(seed);
  }

  /**
   * The key in a private key file: `{"format": "ed25519", "key": <base 64 of the seed>}`.
   *
   * @throws KilnError `key.invalid`; the message does not show the file's contents.
   */
  static parse(text: string): SigningKey {
    const file = parseKeyFile(text);
    if (file.format !== ed25519) {
      throw new KilnError("key.invalid", `the format of the key is not ${ed25519}`);
    }
    const seed = typeof file.key === "string" ? decodeBase64(file.key) : undefined;
    if (seed === undefined) throw new KilnError("key.invalid", "the key is not base 64");
    return SigningKey.fromSeed(seed);
  }

  /** The private key file of this key. */
  print(): string {
    return printFile({ format: this.format, key: this.#seed.toString("base64") });
  }

  /** The public key file of this key. */
  printPublic(): string {
    return printFile(publicKeyToJson(this));
  }

  /** Signs for it that `realization` belongs to `output`. */
  sign(output: EquivalenceClass, realization: Realization): RealizationSignature {
    const signature = sign(undefined, signedBytes(output, realization), this.#key);
    return { format: this.format, publicKey: this.publicKey, signature };
  }
}

/**
 * What a signature is made over. zb's members stand in canonical order already, and JSON.stringify() writes texts as RFC 8785
 * wants them.
 *
 * @throws KilnError `realization.invalid` for a text that is not UTF-8, which JSON cannot hold.
 */
export function signedBytes(output: EquivalenceClass, realization: Realization): Buffer {
  const referenceClasses = sortReferenceClasses(realization.referenceClasses);
  const texts = [
    output.outputName,
    realization.outputPath,
    ...referenceClasses.flatMap((one) => [one.path, one.realization?.outputName ?? ""]),
  ];
  if (!texts.every((text) => text.isWellFormed())) {
    throw new KilnError(
      "realization.invalid",
      "a realization with a name or path that is not UTF-8 cannot be signed",
    );
  }
  const signed = {
    derivationHash: hashToJson(output.derivationHash),
    outputName: output.outputName,
    outputPath: realization.outputPath,
    referenceClasses: referenceClasses.map(referenceClassToJson),
  };
  return Buffer.from(JSON.stringify(signed), "utf8");
}

/**
 * Whether `signature` is a valid one over this realization. Public keys of small order, for which signatures of other texts or of
 * nothing at all are valid, are refused.
 */
export function verifySignature(
  output: EquivalenceClass,
  realization: Realization,
  signature: RealizationSignature,
): boolean {
  if (signature.format !== ed25519) return false;
  const { publicKey } = signature;
  if (publicKey.length !== publicKeySize || signature.signature.length !== signatureSize) {
    return false;
  }
  if (hasSmallOrder(publicKey)) return false;
  try {
    const key = createPublicKey({
      key: Buffer.concat([spkiPrefix, publicKey]),
      format: "der",
      type: "spki",
    });
    return verify(undefined, signedBytes(output, realization), key, signature.signature);
  } catch {
    // Neither a key that is no point of the curve nor a realization that cannot be signed has valid signatures.
    return false;
  }
}

/** `realization` with its valid signatures only, and those that were dropped, for a log. */
export function verifiedRealization(
  output: EquivalenceClass,
  realization: Realization,
): { realization: Realization; dropped: readonly RealizationSignature[] } {
  const { true: valid = [], false: dropped = [] } = Object.groupBy(
    realization.signatures,
    (signature) => (verifySignature(output, realization, signature) ? "true" : "false"),
  );
  return { realization: { ...realization, signatures: valid }, dropped };
}

/**
 * The y coordinates (little-endian, without the sign bit) of the points whose order divides 8, and their encodings beyond the
 * field's prime. Libsodium refuses the same.
 */
const smallOrder: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

function hasSmallOrder(publicKey: Buffer): boolean {
  const y = Buffer.from(publicKey);
  y[publicKeySize - 1] = (y[publicKeySize - 1] ?? 0) & 0x7f;
  return smallOrder.has(y.toString("hex"));
}

function parseKeyFile(text: string): { format?: unknown; key?: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which is a secret.
    throw new KilnError("key.invalid", "the key file is not JSON");
  }
  if (typeof value !== "object" || value === null) {
    throw new KilnError("key.invalid", "the key file holds no object");
  }
  return value;
}

function printFile(value: object): string {
  return `${JSON.stringify(value, undefined, "\t")}\n`;
}
