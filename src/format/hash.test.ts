import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { bytesToString } from "../util/byte-string.ts";
import { hasCode } from "../util/kiln-error.ts";
import {
  Hash,
  compressHash,
  hashBytes,
  hashSize,
  parseHash,
  sha256,
  type HashType,
} from "./hash.ts";

const types: readonly HashType[] = ["md5", "sha1", "sha256", "sha512"];
const hashes: fc.Arbitrary<Hash> = fc.constantFrom(...types).chain((type) => {
  const size = hashSize(type);
  return fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Hash.of(type, bytes));
});

describe("hashes", () => {
  test("survive every text form", () => {
    fc.assert(
      fc.property(hashes, (hash) => {
        const forms = [hash.base16(), hash.base32(), hash.base64(), hash.sri()];
        for (const text of [...forms, `${hash.type}:${hash.rawBase16().toUpperCase()}`]) {
          assert.ok(parseHash(text).equals(hash), text);
        }
      }),
    );
  });

  test("a text with one character changed is another hash or none", () => {
    fc.assert(
      fc.property(
        hashes,
        fc.nat(),
        fc.constantFrom(..."0aZ!=-:\n".split("")),
        (hash, at, character) => {
          const text = hash.base32();
          const index = at % text.length;
          fc.pre(text[index] !== character);
          const changed = text.slice(0, index) + character + text.slice(index + 1);
          try {
            assert.ok(!parseHash(changed).equals(hash));
          } catch (error) {
            assert.ok(hasCode(error, "hash.invalid"));
          }
        },
      ),
    );
  });

  test("equal each other by type and bytes", () => {
    const [a, b] = [sha256("a"), sha256("a")];
    assert.ok(a.equals(b));
    assert.ok(!a.equals(sha256("b")));
    assert.ok(!Hash.of("md5", a.bytes.subarray(0, 16)).equals(a));
  });

  test("keep their own copy of the bytes", () => {
    const bytes = Buffer.alloc(16);
    const hash = Hash.of("md5", bytes);
    bytes.fill(1);
    assert.equal(hash.rawBase16(), "0".repeat(32));
  });

  test("need as many bytes as their type", () => {
    assert.throws(
      () => Hash.of("sha1", Buffer.alloc(32)),
      (error) => hasCode(error, "hash.invalid"),
    );
  });

  for (const text of [
    "",
    "sha256",
    "sha384:00",
    "toString:00",
    "sha256:",
    "md5-00",
    "__proto__:",
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseHash(text),
        (error) => hasCode(error, "hash.invalid"),
      );
    });
  }

  test("are of the byte string that a text stands for", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        const expected = createHash("sha256").update(a).update(b).digest("hex");
        assert.equal(sha256(bytesToString(a), b).rawBase16(), expected);
        assert.equal(sha256(a, bytesToString(b)).rawBase16(), expected);
        assert.ok(hashBytes("sha256", bytesToString(a)).equals(sha256(a)));
      }),
    );
  });

  test("of nothing at all is that of no bytes", () => {
    assert.equal(sha256().base32(), "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
  });

  test("fold by XOR", () => {
    assert.deepEqual(compressHash(Buffer.from([1, 2, 4, 8, 16]), 2), Buffer.from([21, 10]));
  });

  test("need room for a byte to fold into", () => {
    for (const size of [0, -1, 1.5]) {
      assert.throws(
        () => compressHash(Buffer.from([1]), size),
        (error) => hasCode(error, "hash.size"),
      );
    }
  });
});

describe("a hash holds no buffer, nor what it was made from", () => {
  const bytes = sha256("x").bytes;
  const hashes = {
    "from bytes": Hash.of("sha256", bytes),
    "from base 16": parseHash(`sha256:${bytes.toString("hex")}`),
    "from base 32": parseHash(sha256("x").base32()),
    "from base 64": parseHash(sha256("x").sri()),
    computed: sha256("a", "b"),
  };
  for (const [name, hash] of Object.entries(hashes)) {
    test(name, () => {
      const sizes = Object.values(hash).map((value) => typeof value === "string" && value.length);
      assert.deepEqual(sizes, ["sha256".length, 64]);
    });
  }
});
