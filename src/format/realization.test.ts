import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../util/kiln-error.ts";
import { sha256 } from "./hash.ts";
import {
  mergeRealizations,
  parsePublicKey,
  parseRealizationDocument,
  printRealizationDocument,
  publicKeyToJson,
  samePublicKey,
  sortReferenceClasses,
  type Realization,
  type RealizationDocument,
  type RealizationSignature,
  type ReferenceClass,
} from "./realization.ts";
import { defaultStoreDirectory, storePathFor, type StorePath } from "./store-path.ts";

const paths: fc.Arbitrary<StorePath> = fc
  .constantFrom("0", "1", "2")
  .map((digit) => storePathFor(defaultStoreDirectory, `${digit.repeat(32)}-x`));
const hashes = fc.constantFrom("a", "b").map((text) => sha256(text));
const noPrototype = { noNullPrototype: true };
const classes: fc.Arbitrary<ReferenceClass> = fc.record(
  {
    path: paths,
    realization: fc.option(
      fc.record(
        { derivationHash: hashes, outputName: fc.constantFrom("out", "é", "dev") },
        noPrototype,
      ),
      { nil: undefined },
    ),
  },
  noPrototype,
);
const bytes = fc.uint8Array({ maxLength: 3 }).map((array) => Buffer.from(array));
const signatures: fc.Arbitrary<RealizationSignature> = fc.record(
  { format: fc.constantFrom("ed25519", "nonsense"), publicKey: bytes, signature: bytes },
  noPrototype,
);
const realizations: fc.Arbitrary<Realization> = fc.record(
  {
    outputPath: paths,
    referenceClasses: fc.array(classes, { maxLength: 4 }),
    signatures: fc.array(signatures, { maxLength: 3 }),
  },
  noPrototype,
);
const documents: fc.Arbitrary<RealizationDocument> = fc
  .dictionary(fc.constantFrom("out", "dev"), fc.array(realizations, { maxLength: 3 }))
  .map((outputs) => ({
    derivationHash: sha256("drv"),
    realizations: new Map(Object.entries(outputs)),
  }));

/** What a document says, whatever its order. */
function facts(document: RealizationDocument): Set<string> {
  const said = new Set<string>();
  for (const [outputName, list] of document.realizations) {
    for (const { outputPath, referenceClasses, signatures } of list) {
      const subject = JSON.stringify([
        outputName,
        outputPath,
        sortReferenceClasses(referenceClasses),
      ]);
      said.add(subject);
      for (const signature of signatures) said.add(subject + JSON.stringify(signature));
    }
  }
  return said;
}

describe("realization documents", () => {
  test("survive being written and read", () => {
    fc.assert(
      fc.property(documents, (document) => {
        const text = printRealizationDocument(document);
        const read = parseRealizationDocument(text);
        assert.deepEqual(facts(read), facts(document));
        assert.equal(
          printRealizationDocument(parseRealizationDocument(printRealizationDocument(read))),
          printRealizationDocument(read),
        );
      }),
    );
  });

  test("of zb are read, also without reference classes", () => {
    // From zb's test data.
    const text = `{
      "derivationHash": { "algorithm": "sha256", "digest": "vRcue4N+AqZy5BeXZpZkLqq7l4R/Yad89DD1Fe/Je2E=" },
      "realizations": { "out": [{
        "outputPath": "/opt/zb/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt",
        "signatures": [{ "format": "nonsense", "publicKey": "3q2+7w==", "signature": "yv4=" }]
      }] }
    }`;
    const document = parseRealizationDocument(text);
    assert.equal(
      document.derivationHash.sri(),
      "sha256-vRcue4N+AqZy5BeXZpZkLqq7l4R/Yad89DD1Fe/Je2E=",
    );
    const [realization] = document.realizations.get("out") ?? [];
    assert.equal(
      realization?.outputPath,
      "/opt/zb/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt",
    );
    assert.deepEqual(realization.referenceClasses, []);
    assert.deepEqual(realization.signatures, [
      {
        format: "nonsense",
        publicKey: Buffer.from("deadbeef", "hex"),
        signature: Buffer.from("cafe", "hex"),
      },
    ]);
    assert.equal(
      printRealizationDocument(document),
      JSON.stringify(
        JSON.parse(text.replace('hello.txt",', 'hello.txt", "referenceClasses": [],')),
      ),
    );
  });

  test("leave empty lists of signatures out", () => {
    const document = parseRealizationDocument(
      JSON.stringify({
        derivationHash: { algorithm: "sha256", digest: sha256("").rawBase64() },
        realizations: { out: [{ outputPath: `/s/${"0".repeat(32)}-x`, signatures: [] }], dev: [] },
      }),
    );
    assert.doesNotMatch(printRealizationDocument(document), /signatures|dev/);
  });

  const hash = { algorithm: "sha256", digest: sha256("").rawBase64() };
  const outputPath = `/s/${"0".repeat(32)}-x`;
  for (const [what, document] of [
    ["no object", []],
    ["no derivation hash", { realizations: {} }],
    ["a hash with a third member", { derivationHash: { ...hash, x: 1 } }],
    ["a hash of another length", { derivationHash: { ...hash, algorithm: "sha1" } }],
    ["a hash that is not base 64", { derivationHash: { ...hash, digest: "-".repeat(44) } }],
    ["an output with a bad name", { derivationHash: hash, realizations: { "a!b": [] } }],
    ["an output that is no list", { derivationHash: hash, realizations: { out: {} } }],
    ["a path that is none", { derivationHash: hash, realizations: { out: [{ outputPath: "x" }] } }],
    [
      "a reference class of a bad output",
      {
        derivationHash: hash,
        realizations: {
          out: [
            {
              outputPath,
              referenceClasses: [
                { path: outputPath, realization: { derivationHash: hash, outputName: "" } },
              ],
            },
          ],
        },
      },
    ],
    [
      "a signature that is not base 64",
      {
        derivationHash: hash,
        realizations: {
          out: [{ outputPath, signatures: [{ format: "ed25519", publicKey: "", signature: "?" }] }],
        },
      },
    ],
  ] as const) {
    test(`cannot have ${what}`, () => {
      assert.throws(
        () => parseRealizationDocument(JSON.stringify(document)),
        (error) => hasCode(error, "realization.invalid"),
      );
    });
  }

  test("have to be JSON, and not too much of it", () => {
    for (const text of ["", "{", " ".repeat(5_000_000)]) {
      assert.throws(
        () => parseRealizationDocument(text),
        (error) => hasCode(error, "realization.invalid"),
      );
    }
  });
});

describe("merging realization documents", () => {
  test("unites what they say, without repetition", () => {
    fc.assert(
      fc.property(documents, documents, (a, b) => {
        const merged = mergeRealizations(a, b);
        assert.deepEqual(facts(merged), facts(a).union(facts(b)));
        const again = mergeRealizations(merged, b);
        assert.equal(
          printRealizationDocument(again),
          printRealizationDocument(mergeRealizations(merged, merged)),
        );
      }),
    );
  });

  test("needs one derivation hash", () => {
    const [a, b] = ["a", "b"].map((text) => ({
      derivationHash: sha256(text),
      realizations: new Map(),
    }));
    assert.ok(a && b);
    assert.throws(
      () => mergeRealizations(a, b),
      (error) => hasCode(error, "realization.mismatch"),
    );
  });
});

describe("reference classes", () => {
  test("are sorted by path, sources first, then by hash and output", () => {
    const path = storePathFor(defaultStoreDirectory, `${"0".repeat(32)}-x`);
    const later = storePathFor(defaultStoreDirectory, `${"1".repeat(32)}-x`);
    const realization = (text: string, outputName: string): ReferenceClass => ({
      path,
      realization: { derivationHash: sha256(text), outputName },
    });
    // In base 64 these hashes begin with ypeBEsobvcr6 and PiPoFgA5WUoz.
    const sorted = [
      { path, realization: undefined },
      realization("b", "out"),
      realization("a", "dev"),
      realization("a", "out"),
      { path: later, realization: undefined },
    ];
    assert.deepEqual(sortReferenceClasses(sorted.toReversed()), sorted);
    assert.deepEqual(sortReferenceClasses([...sorted, ...sorted]), sorted);
  });
});

describe("public keys", () => {
  test("survive as JSON", () => {
    const key = { format: "ed25519", publicKey: Buffer.alloc(32, 7) };
    assert.ok(samePublicKey(parsePublicKey(publicKeyToJson(key)), key));
    assert.ok(!samePublicKey(key, { ...key, format: "x" }));
    assert.throws(
      () => parsePublicKey({ format: 1, publicKey: "" }),
      (error) => hasCode(error, "realization.invalid"),
    );
  });
});
