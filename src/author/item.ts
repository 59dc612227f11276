/** Store objects that an evaluation knows: it can name them, and make most of their bytes. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { ContentAddress } from "../format/content-address.ts";
import { Hash } from "../format/hash.ts";
import { encodeString, tokens } from "../format/nar/tokens.ts";
import type { StorePath } from "../format/store-path.ts";
import type { Place } from "./place.ts";

export interface StoreItem {
  readonly path: StorePath;
  readonly references: readonly StoreItem[];
  /** What it was made from, for messages: `./src`, `text "app.conf"`. */
  readonly label: string;
  readonly place: Place | undefined;
  /** Absent for an object that only the store can have. */
  readonly content: ItemContent | undefined;
}

export interface ItemContent {
  readonly ca: ContentAddress;
  /** The NAR, made anew at each call. */
  readonly nar: () => Iterable<Buffer>;
}

/** The NAR of one file with these bytes, not executable. */
export function fileNar(bytes: Buffer): Buffer {
  const { magic, open, type, regular, contents, close } = tokens;
  return Buffer.concat([magic, open, type, regular, contents, encodeString(bytes), close]);
}

/** The hash in the source address of an object without self references: SHA-256 of its NAR and a closing `|`. */
export function sourceHash(nar: Iterable<Buffer>): Hash {
  const digest = createHash("sha256");
  for (const chunk of nar) digest.update(chunk);
  return Hash.of("sha256", digest.update("|").digest());
}
