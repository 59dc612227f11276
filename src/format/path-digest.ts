/**
 * From what an object is to where it is: the digest in a store path is SHA-256 over a fingerprint
 * `TYPE:HASH:DIRECTORY:NAME`, folded to 20 bytes. The names of the types are Nix's.
 */
import { sortedSet } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { encodeBase32 } from "./base32.ts";
import { isSourceAddress, type ContentAddress } from "./content-address.ts";
import { compressHash, sha256 } from "./hash.ts";
import {
  derivationNameOf,
  directoryOf,
  isDerivationPath,
  storePathFor,
  type StoreDirectory,
  type StorePath,
} from "./store-path.ts";

/** The store paths an object refers to. */
export interface References {
  /** Whether the object refers to itself. */
  readonly self: boolean;
  /** The others, without duplicates and sorted by bytes. */
  readonly others: readonly StorePath[];
}

export const noReferences: References = { self: false, others: [] };

/**
 * The store path of the object with this name, content address and references.
 *
 * @throws KilnError `ca.references` for an address that cannot have such references (`text` must be SHA-256 and not refer to
 *   itself; other addresses than `text` and the source address have no references at all), `path.invalid` for a bad name.
 */
export function storePathOf(
  directory: StoreDirectory,
  name: string,
  ca: ContentAddress,
  references: References,
): StorePath {
  if (ca.method === "text") {
    if (ca.hash.type !== "sha256") throw wrong(name, "a text address must be of type sha256");
    if (references.self) throw wrong(name, "an object with a text address cannot refer to itself");
    return makePath(directory, withReferences("text", references), ca.hash.base16(), name);
  }
  if (isSourceAddress(ca)) {
    return makePath(directory, withReferences("source", references), ca.hash.base16(), name);
  }
  if (references.self || references.others.length > 0) {
    throw wrong(name, "an object with this content address cannot have references");
  }
  const inner = sha256(`fixed:out:${ca.method === "recursive" ? "r:" : ""}${ca.hash.base16()}:`);
  return makePath(directory, "output:out", inner.base16(), name);
}

/**
 * Where a floating output is built before its content, and so its path, is known. It depends on nothing but the derivation and
 * the output's name.
 *
 * @throws KilnError `path.invalid` when `drvPath` is not a derivation's or the output name makes no object name.
 */
export function temporaryOutputPath(drvPath: StorePath, outputName: string): StorePath {
  if (!isDerivationPath(drvPath)) {
    throw new KilnError("path.invalid", `${drvPath} is not a derivation`, { path: drvPath });
  }
  const name = outputObjectName(derivationNameOf(drvPath), outputName);
  const noHash = `sha256:${"0".repeat(64)}`;
  return makePath(directoryOf(drvPath), `rewrite:${drvPath}:name:${outputName}`, noHash, name);
}

/** The name of an output's object: the derivation's, and the output's unless it is `out`. */
export function outputObjectName(derivationName: string, outputName: string): string {
  return outputName === "out" ? derivationName : `${derivationName}-${outputName}`;
}

/** The references of the object at `path`, told apart from itself. */
export function splitReferences(path: StorePath, all: Iterable<StorePath>): References {
  const references = sortedSet(all);
  const others = references.filter((reference) => reference !== path);
  return { self: others.length < references.length, others };
}

function withReferences(type: string, references: References): string {
  return [type, ...sortedSet(references.others), ...(references.self ? ["self"] : [])].join(":");
}

function makePath(directory: StoreDirectory, type: string, hash: string, name: string): StorePath {
  const fingerprint = sha256(`${type}:${hash}:${directory}:${name}`);
  return storePathFor(directory, `${encodeBase32(compressHash(fingerprint.bytes, 20))}-${name}`);
}

function wrong(name: string, reason: string): KilnError {
  return new KilnError("ca.references", `${JSON.stringify(name)} has no store path: ${reason}`);
}
