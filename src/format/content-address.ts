/**
 * Content addresses: what an object's path was computed from. `text:HASH` is a flat file that may have references, `fixed:HASH`
 * a flat file, `fixed:r:HASH` the object's NAR. The source address, `fixed:r:sha256`, is the common one: its hash is not that of
 * the NAR but the one modulo self references (see references/self-references.ts).
 */
import { KilnError } from "../util/kiln-error.ts";
import { parseHash, type Hash } from "./hash.ts";

/** What was hashed: the text of a file that may have references, the bytes of a file, or the NAR. */
export type ContentAddressMethod = "text" | "flat" | "recursive";

/** What an object's path was made from, beside its name and references: a hash, and of what. */
export interface ContentAddress {
  readonly method: ContentAddressMethod;
  readonly hash: Hash;
}

/**
 * A content address; its hash may be in any `type:` form but not in SRI form.
 *
 * @throws KilnError `ca.invalid`
 */
export function parseContentAddress(text: string): ContentAddress {
  if (text.startsWith("text:")) return { method: "text", hash: hashIn(text, "text:".length) };
  if (text.startsWith("fixed:r:")) {
    return { method: "recursive", hash: hashIn(text, "fixed:r:".length) };
  }
  if (text.startsWith("fixed:")) return { method: "flat", hash: hashIn(text, "fixed:".length) };
  throw invalid(text, 'it begins neither with "text:" nor with "fixed:"');
}

/** The text form, with the hash in base 32. */
export function printContentAddress(ca: ContentAddress): string {
  const prefix = { text: "text:", flat: "fixed:", recursive: "fixed:r:" }[ca.method];
  return prefix + ca.hash.base32();
}

/** Whether this is a source address: recursive with SHA-256. */
export function isSourceAddress(ca: ContentAddress): boolean {
  return ca.method === "recursive" && ca.hash.type === "sha256";
}

/** Whether both say the same, or both are missing. */
export function sameAddress(a: ContentAddress | undefined, b: ContentAddress | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.method === b.method && a.hash.equals(b.hash);
}

function hashIn(text: string, start: number): Hash {
  const hash = text.slice(start);
  if (!hash.includes(":")) throw invalid(text, "its hash is not of the form type:digits");
  try {
    return parseHash(hash);
  } catch (cause) {
    throw invalid(text, KilnError.from(cause).message, cause);
  }
}

function invalid(text: string, reason: string, cause?: unknown): KilnError {
  const shown = text.length > 160 ? `${text.slice(0, 160)}…` : text;
  return new KilnError(
    "ca.invalid",
    `${JSON.stringify(shown)} is not a content address: ${reason}`,
    {
      cause,
    },
  );
}
