/**
 * What a store knows about an object: its size and hash as a NAR, what it refers to, and its content address. Written as lines
 * of text (the part of Nix's .narinfo that is about the object itself), as JSON for the wire, or as the trailer of an export.
 */
import { sortedSet } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import {
  parseContentAddress,
  printContentAddress,
  type ContentAddress,
} from "./content-address.ts";
import { parseHash, type Hash } from "./hash.ts";
import {
  directoryOf,
  objectNameOf,
  parseStorePath,
  storePathFor,
  type StorePath,
} from "./store-path.ts";

/** What a store knows about an object. */
export interface ObjectInfo {
  readonly storePath: StorePath;
  /** The hash of the NAR; SHA-256 unless another implementation says otherwise. */
  readonly narHash: Hash;
  /** The size of the NAR in bytes. */
  readonly narSize: number;
  /** Sorted by bytes, without duplicates; includes the object itself when it refers to itself. */
  readonly references: readonly StorePath[];
  readonly ca: ContentAddress | undefined;
}

/** An object info as it may be written: everything but the path can be missing, and sizes go up to 2^63 - 1. */
export interface ObjectInfoText {
  readonly storePath: StorePath;
  readonly narHash: Hash | undefined;
  /** 0 when missing; a bigint only beyond `Number.MAX_SAFE_INTEGER`. */
  readonly narSize: number | bigint;
  readonly references: readonly StorePath[];
  readonly ca: ContentAddress | undefined;
}

/** The shape of an object info in `zb.info`. */
export interface RpcObjectInfo {
  /** SRI form. */
  readonly narHash: string;
  readonly narSize: number;
  readonly references: readonly string[];
  /** The empty string (or `null`, when read) stands for an object without content address. */
  readonly ca: string | null;
}

/** The lines of `info`, each with its newline. What is missing or zero is left out. */
export function printObjectInfo(info: ObjectInfoText): string {
  let text = `StorePath: ${info.storePath}\n`;
  if (info.narHash !== undefined) text += `NarHash: ${info.narHash.base32()}\n`;
  if (info.narSize > 0) text += `NarSize: ${info.narSize}\n`;
  if (info.references.length > 0) {
    text += `References: ${sortedSet(info.references).map(objectNameOf).join(" ")}\n`;
  }
  if (info.ca !== undefined) text += `CA: ${printContentAddress(info.ca)}\n`;
  return text;
}

/**
 * One complete record. Keys that are not known are ignored.
 *
 * @throws KilnError `objectInfo.invalid`, also when the NAR's hash or size is missing or the size beyond 2^53 - 1.
 */
export function parseObjectInfo(text: string): ObjectInfo {
  const { narHash, narSize, ...rest } = parseObjectInfoText(text);
  if (narHash === undefined) throw invalid(rest.storePath, "NarHash is missing");
  if (narSize === 0) throw invalid(rest.storePath, "NarSize is missing");
  if (typeof narSize === "bigint") throw invalid(rest.storePath, `NarSize ${narSize} is too large`);
  return { ...rest, narHash, narSize };
}

/**
 * One record, of which only the store path must be there.
 *
 * @throws KilnError `objectInfo.invalid`
 */
export function parseObjectInfoText(text: string): ObjectInfoText {
  const fields = readFields(text);
  const path = fields.get("StorePath");
  if (path === undefined)
    throw new KilnError("objectInfo.invalid", "object info without StorePath");
  const storePath = attempt("StorePath", () => parseStorePath(path));
  const field = <T>(key: string, parse: (value: string) => T): T | undefined => {
    const value = fields.get(key);
    return value === undefined ? undefined : attempt(`${storePath}: ${key}`, () => parse(value));
  };
  return {
    storePath,
    narHash: field("NarHash", parseHash),
    narSize: field("NarSize", parseSize) ?? 0,
    references: field("References", (value) => parseReferences(storePath, value)) ?? [],
    ca: field("CA", parseContentAddress),
  };
}

/** A stream of records cut into single ones: in front of each line that begins with `StorePath:`. */
export function splitObjectInfos(text: string): string[] {
  return text.split(/(?<=^|\n)(?=StorePath:)/).filter((record) => /[^ \t\n]/.test(record));
}

/** As `zb.info` gives it; references are a list in any case. */
export function toRpc(info: ObjectInfo): RpcObjectInfo {
  return {
    narHash: info.narHash.sri(),
    narSize: info.narSize,
    references: info.references,
    ca: info.ca === undefined ? "" : printContentAddress(info.ca),
  };
}

/** @throws KilnError `objectInfo.invalid` */
export function fromRpc(path: StorePath, rpc: RpcObjectInfo): ObjectInfo {
  if (!Number.isSafeInteger(rpc.narSize) || rpc.narSize <= 0) {
    throw invalid(path, `${rpc.narSize} is not a size`);
  }
  return attempt(path, () => ({
    storePath: path,
    narHash: parseHash(rpc.narHash),
    narSize: rpc.narSize,
    references: sortedSet(rpc.references.map(parseStorePath)),
    ca: rpc.ca === null || rpc.ca === "" ? undefined : parseContentAddress(rpc.ca),
  }));
}

/** What follows the object's NAR in an export; the deriver is left empty, as zb does. */
export function toExportTrailer(info: ObjectInfo): {
  storePath: StorePath;
  references: readonly StorePath[];
  deriver: string;
  ca: ContentAddress | undefined;
} {
  return { storePath: info.storePath, references: info.references, deriver: "", ca: info.ca };
}

const knownKeys: ReadonlySet<string> = new Set([
  "StorePath",
  "NarHash",
  "NarSize",
  "References",
  "CA",
]);

/** The values of the known keys. */
function readFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  const lines = text.split("\n");
  for (const [number, line] of lines.entries()) {
    if (/^[ \t]*$/.test(line)) continue;
    const fail = (reason: string): never => {
      throw new KilnError("objectInfo.invalid", `line ${number + 1} of the object info ${reason}`);
    };
    const colon = line.indexOf(":");
    if (colon === -1) fail("has no colon");
    if (line[colon + 1] !== " ") fail("has no space after its colon");
    const key = line.slice(0, colon);
    if (!knownKeys.has(key)) continue;
    if (fields.has(key)) fail(`gives ${key} again`);
    fields.set(key, line.slice(colon + 2));
  }
  return fields;
}

function parseSize(text: string): number | bigint {
  if (!/^[+-]?[0-9]+$/.test(text)) {
    throw new KilnError("objectInfo.invalid", `${JSON.stringify(text)} is not a decimal number`);
  }
  const size = BigInt(text.replace(/^\+/, ""));
  if (size <= 0n || size >= 1n << 63n) {
    throw new KilnError("objectInfo.invalid", `${text} is not from 1 to 2^63 - 1`);
  }
  return size <= Number.MAX_SAFE_INTEGER ? Number(size) : size;
}

function parseReferences(path: StorePath, text: string): StorePath[] {
  const directory = directoryOf(path);
  // White space is what Go's strings.Fields takes for it; an object name has none of it.
  const names = text
    .split(/[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/)
    .filter((name) => name !== "");
  return sortedSet(names.map((name) => storePathFor(directory, name)));
}

/** What `parse` returns; its KilnError tells where it happened. */
function attempt<T>(where: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new KilnError("objectInfo.invalid", `${where}: ${KilnError.from(cause).message}`, {
      cause,
    });
  }
}

function invalid(path: StorePath, reason: string): KilnError {
  return new KilnError("objectInfo.invalid", `${path}: ${reason}`, { path });
}
