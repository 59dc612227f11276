import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import fc from "fast-check";
import { bytesToString, compareBytes, stringToBytes } from "./byte-string.ts";

describe("byte strings", () => {
  test("any bytes survive the way through a string", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        assert.deepEqual(stringToBytes(bytesToString(bytes)), Buffer.from(bytes));
      }),
    );
  });

  test("bytes around valid text survive too", () => {
    const part = fc.oneof(
      fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const bytes = Buffer.concat(parts);
        assert.deepEqual(stringToBytes(bytesToString(bytes)), bytes);
      }),
    );
  });

  test("valid UTF-8 is the text it is", () => {
    assert.equal(bytesToString(Buffer.from("grün 🌱")), "grün 🌱");
  });

  test("an invalid byte is a lone low surrogate", () => {
    assert.equal(bytesToString(Buffer.from([0x61, 0xff, 0x62])), "a\udcffb");
  });

  test("valid text beside an invalid byte is still the text it is", () => {
    const texts = fc.string({ unit: "binary" }).map((text) => text.toWellFormed());
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        const bytes = Buffer.concat([Buffer.from(a), Buffer.from([0xff]), Buffer.from(b)]);
        assert.equal(bytesToString(bytes), `${a}\udcff${b}`);
      }),
    );
  });

  for (const hex of [
    "c080",
    "e09fbf",
    "eda080",
    "f08fbfbf",
    "f4908080",
    "f5808080",
    "e282",
    "80",
  ]) {
    test(`${hex} is no UTF-8: every byte of it is escaped`, () => {
      const bytes = Buffer.from(hex, "hex");
      const escaped = String.fromCharCode(...Array.from(bytes, (byte) => 0xdc00 + byte));
      assert.equal(bytesToString(Buffer.concat([bytes, Buffer.from("a")])), `${escaped}a`);
    });
  }

  test("order is by bytes, not by UTF-16 units", () => {
    const strings = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.uint8Array({ maxLength: 8 }).map(bytesToString),
    );
    fc.assert(
      fc.property(strings, strings, (a, b) => {
        const expected = Buffer.compare(stringToBytes(a), stringToBytes(b));
        assert.equal(Math.sign(compareBytes(a, b)), expected);
      }),
    );
    assert.ok(compareBytes("\uffff", "\u{10000}") < 0);
  });
});
