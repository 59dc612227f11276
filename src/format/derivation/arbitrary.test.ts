/** Any derivation that can be written, for property tests. Called a test so that it is not published. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { bytesToString, compareBytes, sortedSet } from "../../util/byte-string.ts";
import type { ContentAddressMethod } from "../content-address.ts";
import { hashBytes, type HashType } from "../hash.ts";
import { defaultStoreDirectory, storePathFor, type StorePath } from "../store-path.ts";
import { isOutputName, sortedMap, type Derivation, type DerivationOutput } from "./derivation.ts";

const texts: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
  fc.uint8Array().map(bytesToString),
  fc.constantFrom("$out", '"', "\\n", "\n\t\r", "é\u{1f331}"),
);

const digits: fc.Arbitrary<string> = fc.constantFrom(
  ..."0123456789abcdfghijklmnpqrsvwxyz".split(""),
);

/** Paths of objects whose names end in `suffix`. */
export function storePaths(suffix = ""): fc.Arbitrary<StorePath> {
  return fc
    .string({ unit: digits, minLength: 32, maxLength: 32 })
    .map((digest) => storePathFor(defaultStoreDirectory, `${digest}-x${suffix}`));
}

const outputNames: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom("out", "dev", "lib"),
  fc.string({ unit: fc.constantFrom(..."abc-._=+".split("")), minLength: 1, maxLength: 10 }),
);

const methods = fc.constantFrom<ContentAddressMethod>("flat", "recursive");
const hashTypes = fc.constantFrom<HashType>("md5", "sha1", "sha256", "sha512");

const outputs: fc.Arbitrary<DerivationOutput> = fc.oneof(
  fc.record(
    {
      type: fc.constant("floating" as const),
      method: fc.oneof(methods, fc.constant("text" as const)),
      hashType: hashTypes,
    },
    { noNullPrototype: true },
  ),
  fc.tuple(methods, hashTypes, fc.string()).map(([method, hashType, data]): DerivationOutput => {
    return { type: "fixed", ca: { method, hash: hashBytes(hashType, data) } };
  }),
  fc.string().map((data): DerivationOutput => {
    return { type: "fixed", ca: { method: "text", hash: hashBytes("sha256", data) } };
  }),
);

export const derivations: fc.Arbitrary<Derivation> = fc.record(
  {
    directory: fc.constant(defaultStoreDirectory),
    name: fc.constantFrom("x", "hello-2.12.1", ".="),
    inputDerivations: fc
      .uniqueArray(fc.tuple(storePaths(".drv"), fc.uniqueArray(outputNames)), {
        selector: ([path]) => path,
        maxLength: 4,
      })
      .map((list) => sortedMap(list.map(([path, names]) => [path, sortedSet(names)] as const))),
    inputSources: fc
      .uniqueArray(storePaths(), { maxLength: 4 })
      .map((list) => list.toSorted(compareBytes)),
    system: texts,
    builder: texts,
    args: fc.array(texts, { maxLength: 5 }),
    env: fc
      .uniqueArray(fc.tuple(texts, texts), { selector: ([key]) => key, maxLength: 6 })
      .map(sortedMap),
    outputs: fc
      .uniqueArray(fc.tuple(outputNames.filter(isOutputName), outputs), {
        selector: ([name]) => name,
        maxLength: 3,
      })
      .map(sortedMap),
  },
  { noNullPrototype: true },
);

test("derivations made for property tests have their maps in byte order", () => {
  fc.assert(
    fc.property(derivations, ({ env, outputs }) => {
      for (const map of [env, outputs]) {
        const keys = [...map.keys()];
        assert.deepEqual(keys, keys.toSorted(compareBytes));
      }
    }),
  );
});
