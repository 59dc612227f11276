/** What a derivation of a build file says, for tests. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Derivation } from "../format/derivation/derivation.ts";
import { parseDerivation } from "../format/derivation/parse.ts";
import { defaultStoreDirectory } from "../format/store-path.ts";
import { fileNar } from "./item.ts";
import { DerivationValue } from "./values.ts";

/** The text of the derivation's file, as it would be sent to a store. */
export function atermOf(value: unknown): Buffer {
  assert.ok(value instanceof DerivationValue);
  const nar = Buffer.concat([...(value.item.content?.nar() ?? [])]);
  const aterm = Buffer.from(nar.subarray(nar.indexOf("Derive("), nar.lastIndexOf(")])") + 3));
  assert.deepEqual(nar, fileNar(aterm));
  return aterm;
}

/** The derivation as it would be read back. */
export function parsed(value: { readonly name: string }): Derivation {
  return parseDerivation(defaultStoreDirectory, value.name, atermOf(value));
}
