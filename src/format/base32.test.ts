import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../util/kiln-error.ts";
import { decodeBase32, encodeBase32, isBase32 } from "./base32.ts";

describe("base 32", () => {
  test("any bytes survive being written and read", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = encodeBase32(bytes);
        assert.equal(text.length, Math.ceil((bytes.length * 8) / 5));
        assert.ok(isBase32(text));
        assert.deepEqual(decodeBase32(text), Buffer.from(bytes));
      }),
    );
  });

  test("is the little-endian number in base 32, as digits", () => {
    const digits = "0123456789abcdfghijklmnpqrsvwxyz";
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        let number = BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`);
        let text = "";
        for (let i = 0; i < Math.ceil((bytes.length * 8) / 5); i++) {
          text = `${digits[Number(number % 32n)]}${text}`;
          number /= 32n;
        }
        assert.equal(encodeBase32(bytes), text);
      }),
    );
  });

  test("surplus bits are looked at in the digit across the end of the last byte, whatever the length", () => {
    for (const text of ["4z", "7", "z7b", "07b", "00c000"]) assert.ok(isBase32(text), text);
    for (const text of ["8z", "zzzzz", "z8b", "bkr", "0r0000"]) assert.ok(!isBase32(text), text);
  });

  test("a text that is read is written the same again", () => {
    const text = fc.string({ unit: fc.constantFrom(..."019abdz".split("")), maxLength: 14 });
    fc.assert(
      fc.property(text, (text) => {
        fc.pre([0, 2, 4, 5, 7].includes(text.length % 8) && isBase32(text));
        assert.equal(encodeBase32(decodeBase32(text)), text);
      }),
    );
  });

  for (const [text, why] of [
    ["e0", "a letter that was left out"],
    ["A0", "an upper-case letter"],
    ["0 ", "a blank"],
    ["é0", "a letter beyond ASCII"],
    ["0", "no bytes take 1 character"],
    ["000", "no bytes take 3 characters"],
    ["zz", "surplus bits"],
  ] as const) {
    test(`refuses ${JSON.stringify(text)}: ${why}`, () => {
      assert.throws(
        () => decodeBase32(text),
        (error) => hasCode(error, "base32.invalid"),
      );
    });
  }
});
