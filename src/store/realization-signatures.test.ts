import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../format/hash.ts";
import { SigningKey } from "../format/signature.ts";
import { parseStorePath } from "../format/store-path.ts";
import { equivalenceClass, type Realization } from "./database/realizations.ts";
import {
  isValidSignature,
  signRealization,
  withValidSignatures,
} from "./realization-signatures.ts";

const keys = [1, 2].map((n) => SigningKey.fromSeed(Buffer.alloc(32, n)));
const path = (name: string): Realization["path"] =>
  parseStorePath(`/opt/zb/store/${"0".repeat(32)}-${name}`);
const producer = equivalenceClass(sha256("input"), "lib");
const realization: Realization = {
  equivalence: equivalenceClass(sha256("derivation"), "out"),
  path: path("out"),
  references: [
    { path: path("a"), producer: undefined },
    { path: path("a"), producer },
  ],
  signatures: [],
};

test("a signature counts for exactly what was signed, in whatever order its references stand", () => {
  const [signature] = signRealization(realization, keys).signatures;
  const references = realization.references.toReversed();
  assert.ok(isValidSignature({ ...realization, references }, signature!));
  for (const changed of [
    { path: path("other") },
    { equivalence: producer },
    { references: references.slice(1) },
    { references: [] },
  ]) {
    assert.ok(!isValidSignature({ ...realization, ...changed }, signature!));
  }
});

test("valid signatures are kept, others dropped", () => {
  const { signatures } = signRealization(realization, keys);
  const zero = { ...signatures[0]!, signature: Buffer.alloc(64) };
  const mixed = { ...realization, signatures: [zero, ...signatures] };
  assert.deepEqual(withValidSignatures(mixed), {
    realization: { ...realization, signatures },
    dropped: 1,
  });
});

test("what JSON cannot hold is not signed", () => {
  const odd = { ...realization, equivalence: equivalenceClass(sha256("x"), "\udc80") };
  assert.deepEqual(signRealization(odd, keys).signatures, []);
});
