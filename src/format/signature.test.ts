import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import * as fc from "fast-check";
import { bytesToString } from "../util/byte-string.ts";
import { hasCode } from "../util/kiln-error.ts";
import { parseHash, sha256 } from "./hash.ts";
import type { EquivalenceClass, Realization, RealizationSignature } from "./realization.ts";
import { SigningKey, signedBytes, verifiedRealization, verifySignature } from "./signature.ts";
import { parseStorePath } from "./store-path.ts";

// zb's own test key, realization and signature.
const seed = Buffer.from("f8d30335fbe30a6753f662ebf7369d6105f017f98f2ec4e8330dfac97ef0e870", "hex");
const publicKey = Buffer.from(
  "950922bd2765ac3063c2013f54d98f79f4d16001f762496191bd66d762519470",
  "hex",
);
const zbSignature = Buffer.from(
  "a390c9fe3f60f5c910b6ab0c6a4bb7cbba487c895ea4c2a728cf267fe51bb61d" +
    "4edce86421068d5d5c7d889d528bd3e2ea3aea5edba22b1ddc775d5bba233206",
  "hex",
);
const output: EquivalenceClass = {
  derivationHash: parseHash("sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
  outputName: "out",
};
const realization: Realization = {
  outputPath: parseStorePath("/opt/zb/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-foo"),
  referenceClasses: [],
  signatures: [],
};
const key = SigningKey.fromSeed(seed);
const valid: RealizationSignature = { format: "ed25519", publicKey, signature: zbSignature };

describe("signed bytes", () => {
  test("are canonical JSON", () => {
    assert.equal(
      signedBytes(output, realization).toString(),
      '{"derivationHash":{"algorithm":"sha256","digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"outputName":"out","outputPath":"/opt/zb/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-foo","referenceClasses":[]}',
    );
  });

  test("have sorted reference classes and plain texts", () => {
    const path = parseStorePath(`/s\u{1f331}/${"0".repeat(32)}-x`);
    const referenceClasses = [
      { path, realization: { derivationHash: sha256(""), outputName: 'é"' } },
      { path, realization: undefined },
    ];
    assert.equal(
      signedBytes(output, { ...realization, referenceClasses })
        .toString()
        .split('"referenceClasses":')[1],
      `[{"path":"${path}","realization":null},{"path":"${path}","realization":{"derivationHash":{"algorithm":"sha256","digest":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},"outputName":"é\\""}}]}`,
    );
  });

  test("do not exist for texts that are not UTF-8", () => {
    const outputName = bytesToString(Buffer.from([0xff]));
    assert.throws(
      () => signedBytes({ ...output, outputName }, realization),
      (error) => hasCode(error, "realization.invalid"),
    );
    assert.equal(verifySignature({ ...output, outputName }, realization, valid), false);
  });
});

describe("a signature", () => {
  test("is zb's", () => {
    assert.deepEqual(key.sign(output, realization), valid);
    assert.ok(verifySignature(output, realization, valid));
  });

  test("of any key over any realization is valid", () => {
    const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(seeds, fc.string({ minLength: 1 }), (seed, outputName) => {
        fc.pre(outputName.isWellFormed());
        const one = { ...output, outputName };
        assert.ok(
          verifySignature(one, realization, SigningKey.fromSeed(seed).sign(one, realization)),
        );
      }),
      { numRuns: 20 },
    );
  });

  const other = SigningKey.fromSeed(Buffer.alloc(32, 1));
  const lowOrder = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
  for (const [what, signature] of [
    ["of another key", { ...valid, publicKey: other.publicKey }],
    ["of another format", { ...valid, format: "nonsense" }],
    ["that is all zero", { ...valid, signature: Buffer.alloc(64) }],
    ["that is cut short", { ...valid, signature: zbSignature.subarray(1) }],
    ["that is empty", { ...valid, signature: Buffer.alloc(0) }],
    [
      "with a bit changed",
      { ...valid, signature: zbSignature.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) },
    ],
    ["of a key that is cut short", { ...valid, publicKey: publicKey.subarray(1) }],
    ["of a key that is no point", { ...valid, publicKey: Buffer.alloc(32, 2) }],
    ["of a key that is all zero", { ...valid, publicKey: Buffer.alloc(32) }],
    ["of a key of small order", { ...valid, publicKey: Buffer.from(lowOrder, "hex") }],
  ] as const) {
    test(`${what} is not valid`, () => {
      const checked = { ...signature, signature: Buffer.from(signature.signature) };
      assert.equal(verifySignature(output, realization, checked), false);
    });
  }

  for (const [what, one, changed] of [
    ["derivation hash", { ...output, derivationHash: sha256("") }, realization],
    ["output", { ...output, outputName: "dev" }, realization],
    ["path", output, { ...realization, outputPath: parseStorePath(`/s/${"0".repeat(32)}-x`) }],
    [
      "reference class",
      output,
      {
        ...realization,
        referenceClasses: [{ path: realization.outputPath, realization: undefined }],
      },
    ],
  ] as const) {
    test(`does not hold for another ${what}`, () => {
      assert.equal(verifySignature(one, changed, valid), false);
    });
  }

  test("by a key of small order over every text is not valid", () => {
    // The zero key is a point of order 4: with a signature of zeros every fourth text would do.
    const zero = { format: "ed25519", publicKey: Buffer.alloc(32), signature: Buffer.alloc(64) };
    for (let i = 0; i < 64; i++) {
      assert.equal(verifySignature({ ...output, outputName: `o${i}` }, realization, zero), false);
    }
  });

  test("that is not valid is dropped, and told", () => {
    const bad = { ...valid, signature: Buffer.alloc(64) };
    const checked = verifiedRealization(output, { ...realization, signatures: [bad, valid] });
    assert.deepEqual(checked.realization.signatures, [valid]);
    assert.deepEqual(checked.dropped, [bad]);
    assert.deepEqual(verifiedRealization(output, realization), { realization, dropped: [] });
  });
});

describe("key files", () => {
  test("are zb's", () => {
    const text =
      '{\n\t"format": "ed25519",\n\t"key": "+NMDNfvjCmdT9mLr9zadYQXwF/mPLsToMw36yX7w6HA="\n}\n';
    const read = SigningKey.parse(text);
    assert.deepEqual(read.publicKey, publicKey);
    assert.equal(read.print(), text);
    assert.equal(
      read.printPublic(),
      '{\n\t"format": "ed25519",\n\t"publicKey": "lQkivSdlrDBjwgE/VNmPefTRYAH3Yklhkb1m12JRlHA="\n}\n',
    );
  });

  for (const text of [
    "",
    "[]",
    "null",
    "{}",
    '{"format":"rsa","key":"AAAA"}',
    '{"format":"ed25519","key":"AAAA"}',
    '{"format":"ed25519","key":"?"}',
    '{"format":"ed25519"}',
  ]) {
    test(`cannot be ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => SigningKey.parse(text),
        (error) => hasCode(error, "key.invalid"),
      );
    });
  }

  test("that cannot be read are not quoted in the error", () => {
    assert.throws(
      () => SigningKey.parse('{"key": hunter2'),
      (error) => !inspect(error).includes("hunter2"),
    );
  });

  test("are the only place where a private key shows", () => {
    const shown = `${inspect(key, { showHidden: true, depth: 9 })} ${JSON.stringify(key)}`;
    assert.ok(!shown.includes(seed.toString("base64")));
    assert.ok(!shown.includes("f8 d3 03"));
  });
});
