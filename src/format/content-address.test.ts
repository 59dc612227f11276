import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../util/kiln-error.ts";
import {
  isSourceAddress,
  parseContentAddress,
  printContentAddress,
  sameAddress,
  type ContentAddressMethod,
} from "./content-address.ts";
import { hashBytes, sha256, type HashType } from "./hash.ts";

const methods: readonly ContentAddressMethod[] = ["text", "flat", "recursive"];
const types: readonly HashType[] = ["md5", "sha1", "sha256", "sha512"];

describe("content addresses", () => {
  test("survive being written and read", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...methods),
        fc.constantFrom(...types),
        fc.string(),
        (method, type, data) => {
          const ca = { method, hash: hashBytes(type, data) };
          const read = parseContentAddress(printContentAddress(ca));
          assert.ok(sameAddress(read, ca));
          assert.equal(isSourceAddress(read), method === "recursive" && type === "sha256");
        },
      ),
    );
  });

  test("are the same by value, and only then", () => {
    const hash = sha256("x");
    const ca = { method: "flat", hash } as const;
    assert.ok(sameAddress(ca, parseContentAddress(`fixed:${hash.base16()}`)));
    assert.ok(sameAddress(undefined, undefined));
    assert.ok(!sameAddress(ca, undefined));
    assert.ok(!sameAddress(undefined, ca));
    assert.ok(!sameAddress(ca, { method: "recursive", hash }));
    assert.ok(!sameAddress(ca, { method: "flat", hash: sha256("y") }));
  });

  for (const text of [
    "",
    "text",
    "fixed:",
    "source:x",
    `fixed:${sha256("").sri()}`,
    "r:sha256:0",
  ]) {
    test(`refuse ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseContentAddress(text),
        (error) => hasCode(error, "ca.invalid"),
      );
    });
  }
});
