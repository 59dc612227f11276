/**
 * Realizations: what the outputs of equivalent derivations were found to be. A realization document holds those of one derivation
 * hash; it is what stores with zb v0.2 exchange, and what signatures (signature.ts) are made over.
 */
import type { Buffer } from "node:buffer";
import { compareBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { decodeBase64 } from "./base64.ts";
import { isOutputName } from "./derivation/derivation.ts";
import { Hash, parseHashType } from "./hash.ts";
import { parseStorePath, type StorePath } from "./store-path.ts";

/** An output of all derivations that have this derivation hash. */
export interface EquivalenceClass {
  readonly derivationHash: Hash;
  readonly outputName: string;
}

/** A store path that an output refers to, and the class it realizes; a source realizes none. */
export interface ReferenceClass {
  readonly path: StorePath;
  readonly realization: EquivalenceClass | undefined;
}

/** Somebody's word for a realization. Only verifySignature() tells whether it is worth anything. */
export interface RealizationSignature extends PublicKey {
  readonly signature: Buffer;
}

/** What a signature is checked with. */
export interface PublicKey {
  /** `ed25519` is the only one that is understood; others are kept for those who do. */
  readonly format: string;
  readonly publicKey: Buffer;
}

export interface Realization {
  readonly outputPath: StorePath;
  /** The direct references other than the output itself; one path may come with several classes. */
  readonly referenceClasses: readonly ReferenceClass[];
  readonly signatures: readonly RealizationSignature[];
}

export interface RealizationDocument {
  readonly derivationHash: Hash;
  /** By output name. */
  readonly realizations: ReadonlyMap<string, readonly Realization[]>;
}

/** The most characters a document may have. */
export const maxDocumentSize: number = 4 * 1024 * 1024;

/**
 * Reads a realization document. Members that are not known are ignored, but not in a hash.
 *
 * @throws KilnError `realization.invalid`
 */
export function parseRealizationDocument(text: string): RealizationDocument {
  if (text.length > maxDocumentSize) throw invalid("the realization document is too large");
  const document = members("document", parseJson(text));
  const outputs = members("realizations", document.get("realizations") ?? {});
  const realizations = new Map<string, readonly Realization[]>();
  for (const [outputName, list] of outputs) {
    const parsed = elements(outputName, list).map(parseRealization);
    realizations.set(checkOutputName(outputName), unite([], parsed));
  }
  return { derivationHash: parseHashObject(document.get("derivationHash")), realizations };
}

/** The document as JSON, always the same text for the same document. Outputs without realizations are left out. */
export function printRealizationDocument(document: RealizationDocument): string {
  const outputs = [...document.realizations]
    .filter(([, list]) => list.length > 0)
    .toSorted(([a], [b]) => compareBytes(a, b));
  return JSON.stringify({
    derivationHash: hashToJson(document.derivationHash),
    realizations: Object.fromEntries(
      outputs.map(([outputName, list]) => [outputName, list.map(realizationToJson)]),
    ),
  });
}

/**
 * All realizations of both documents. Those with the same path and the same set of reference classes are one, with the
 * signatures of both.
 *
 * @throws KilnError `realization.mismatch` for documents of different derivation hashes.
 */
export function mergeRealizations(
  a: RealizationDocument,
  b: RealizationDocument,
): RealizationDocument {
  if (!a.derivationHash.equals(b.derivationHash)) {
    throw new KilnError(
      "realization.mismatch",
      `realizations of ${b.derivationHash.sri()} cannot join those of ${a.derivationHash.sri()}`,
    );
  }
  const outputNames = new Set([...a.realizations.keys(), ...b.realizations.keys()]);
  const united = Array.from(outputNames, (name): [string, Realization[]] => [
    name,
    unite(a.realizations.get(name) ?? [], b.realizations.get(name) ?? []),
  ]);
  return { derivationHash: a.derivationHash, realizations: new Map(united) };
}

/** Reference classes in the order of signed documents, each once: by path; without class first; then by the class. */
export function sortReferenceClasses(classes: readonly ReferenceClass[]): ReferenceClass[] {
  const sorted = classes.toSorted(compareReferenceClasses);
  return sorted.filter((one, i) => {
    const previous = sorted[i - 1];
    return previous === undefined || compareReferenceClasses(previous, one) !== 0;
  });
}

/** The JSON of a reference class, its members in canonical order. */
export function referenceClassToJson({ path, realization }: ReferenceClass): object {
  return {
    path,
    realization:
      realization === undefined
        ? null
        : {
            derivationHash: hashToJson(realization.derivationHash),
            outputName: realization.outputName,
          },
  };
}

/** The JSON of a hash in these documents, its members in canonical order. */
export function hashToJson(hash: Hash): { algorithm: string; digest: string } {
  return { algorithm: hash.type, digest: hash.rawBase64() };
}

/** Whether both are the same key. */
export function samePublicKey(a: PublicKey, b: PublicKey): boolean {
  return a.format === b.format && a.publicKey.equals(b.publicKey);
}

/**
 * A public key from its JSON value, `{"format": …, "publicKey": <base 64>}`.
 *
 * @throws KilnError `realization.invalid`
 */
export function parsePublicKey(value: unknown): PublicKey {
  const key = members("public key", value);
  return {
    format: string("format", key.get("format")),
    publicKey: bytes("publicKey", key.get("publicKey")),
  };
}

export function publicKeyToJson({ format, publicKey }: PublicKey): {
  format: string;
  publicKey: string;
} {
  return { format, publicKey: publicKey.toString("base64") };
}

/** `list` and `more`, equal realizations united. */
function unite(list: readonly Realization[], more: readonly Realization[]): Realization[] {
  const byKey = new Map<string, Realization>();
  for (const one of [...list, ...more]) {
    const classes = sortReferenceClasses(one.referenceClasses).map(referenceClassToJson);
    const key = JSON.stringify([one.outputPath, classes]);
    const known = byKey.get(key);
    const signatures = uniteSignatures(known?.signatures ?? [], one.signatures);
    byKey.set(key, { ...(known ?? one), signatures });
  }
  return [...byKey.values()];
}

function uniteSignatures(
  list: readonly RealizationSignature[],
  more: readonly RealizationSignature[],
): RealizationSignature[] {
  const byText = new Map<string, RealizationSignature>();
  for (const one of [...list, ...more]) {
    const text = JSON.stringify(signatureToJson(one));
    if (!byText.has(text)) byText.set(text, one);
  }
  return [...byText.values()];
}

function compareReferenceClasses(a: ReferenceClass, b: ReferenceClass): number {
  const byPath = compareBytes(a.path, b.path);
  if (byPath !== 0) return byPath;
  const [x, y] = [a.realization, b.realization];
  if (x === undefined || y === undefined) return Number(x !== undefined) - Number(y !== undefined);
  return (
    compareBytes(x.derivationHash.type, y.derivationHash.type) ||
    compareBytes(x.derivationHash.rawBase64(), y.derivationHash.rawBase64()) ||
    compareBytes(x.outputName, y.outputName)
  );
}

function realizationToJson(realization: Realization): object {
  const { outputPath, referenceClasses, signatures } = realization;
  return {
    outputPath,
    referenceClasses: sortReferenceClasses(referenceClasses).map(referenceClassToJson),
    ...(signatures.length > 0 ? { signatures: signatures.map(signatureToJson) } : {}),
  };
}

function signatureToJson(signature: RealizationSignature): object {
  return { ...publicKeyToJson(signature), signature: signature.signature.toString("base64") };
}

function parseRealization(value: unknown): Realization {
  const realization = members("realization", value);
  return {
    outputPath: storePath(realization.get("outputPath")),
    referenceClasses: sortReferenceClasses(
      // zb leaves an empty list out here and there.
      elements("referenceClasses", realization.get("referenceClasses") ?? []).map(
        parseReferenceClass,
      ),
    ),
    signatures: elements("signatures", realization.get("signatures") ?? []).map(parseSignature),
  };
}

function parseReferenceClass(value: unknown): ReferenceClass {
  const one = members("reference class", value);
  const realization = one.get("realization") ?? null;
  return {
    path: storePath(one.get("path")),
    realization: realization === null ? undefined : parseEquivalenceClass(realization),
  };
}

function parseEquivalenceClass(value: unknown): EquivalenceClass {
  const one = members("realization of a reference class", value);
  return {
    derivationHash: parseHashObject(one.get("derivationHash")),
    outputName: checkOutputName(string("outputName", one.get("outputName"))),
  };
}

function parseSignature(value: unknown): RealizationSignature {
  const signature = bytes("signature", members("signature", value).get("signature"));
  return { ...parsePublicKey(value), signature };
}

function parseHashObject(value: unknown): Hash {
  const hash = members("hash", value);
  if (hash.size !== 2) throw invalid("a hash has the members algorithm and digest and no other");
  const type = attempt(() => parseHashType(string("algorithm", hash.get("algorithm"))));
  const digest = bytes("digest", hash.get("digest"));
  return attempt(() => Hash.of(type, digest));
}

function checkOutputName(name: string): string {
  if (!isOutputName(name)) throw invalid(`${JSON.stringify(name)} cannot name an output`);
  return name;
}

function storePath(value: unknown): StorePath {
  return attempt(() => parseStorePath(string("path", value)));
}

/** Parses JSON. V8 reads a repeated member as its last one. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid("the realization document is not JSON", cause);
  }
}

function members(noun: string, value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${noun} is not an object`);
  }
  return new Map(Object.entries(value));
}

function elements(noun: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${noun} is not a list`);
  return value;
}

function string(noun: string, value: unknown): string {
  if (typeof value !== "string" || !value.isWellFormed()) throw invalid(`${noun} is not a text`);
  return value;
}

function bytes(noun: string, value: unknown): Buffer {
  const decoded = typeof value === "string" ? decodeBase64(value) : undefined;
  if (decoded === undefined) throw invalid(`${noun} is not base 64`);
  return decoded;
}

function attempt<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw invalid(KilnError.from(cause).message, cause);
  }
}

function invalid(message: string, cause?: unknown): KilnError {
  return new KilnError("realization.invalid", message, { cause });
}
