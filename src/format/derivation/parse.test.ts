import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { KilnError, hasCode } from "../../util/kiln-error.ts";
import { defaultStoreDirectory } from "../store-path.ts";
import { derivations } from "./arbitrary.test.ts";
import type { Derivation } from "./derivation.ts";
import { parseDerivation } from "./parse.ts";
import { printDerivation } from "./print.ts";

interface Parts {
  outputs?: string;
  inputs?: string;
  sources?: string;
  env?: string;
}

const floating = '("out","","r:sha256","")';
const hash = "1c1616853f5f59cf3d15d72146dbee286c54d01d7745162bf473b42d71b2bdbb";
const path = "/opt/zb/store/89cr1mj4kp9rc3zb2akblsn7vch1xrwi-t";
const input = "/opt/zb/store/r7ksfpkk7aigkwxxfpqpwrk2f853m15b-a.drv";
const source = "/opt/zb/store/1r90hmnmvpr0ayc2zhj61wnk84q2i87h-b";

function parse(parts: Parts): Derivation {
  const { outputs = floating, inputs = "", sources = "", env = "" } = parts;
  const text = `Derive([${outputs}],[${inputs}],[${sources}],"s","b",[],[${env}])`;
  return parseDerivation(defaultStoreDirectory, "t", Buffer.from(text));
}

describe("the text of a derivation", () => {
  test("may state the path of a fixed output or leave it out", () => {
    for (const stated of ["", path, `${path}/`]) {
      const { outputs } = parse({ outputs: `("out","${stated}","r:sha256","${hash}")` });
      const output = outputs.get("out");
      assert.ok(output?.type === "fixed");
      assert.equal(output.ca.hash.rawBase16(), hash);
    }
  });

  test("may have upper-case base 16, which is written in lower case", () => {
    const derivation = parse({ outputs: `("out","","r:sha256","${hash.toUpperCase()}")` });
    assert.ok(printDerivation(derivation).includes(`"${path}","r:sha256","${hash}"`));
  });

  test("may name an input's outputs in any order and more than once", () => {
    const { inputDerivations } = parse({ inputs: `("${input}",["out","dev","out"])` });
    assert.deepEqual([...inputDerivations], [[input, ["dev", "out"]]]);
  });

  for (const [what, parts] of [
    [
      "another path for a fixed output than its hash gives",
      { outputs: `("out","${source}","r:sha256","${hash}")` },
    ],
    ["a path for a fixed output that is none", { outputs: `("out","x","r:sha256","${hash}")` }],
    ["a path without a hash", { outputs: `("out","${path}","r:sha256","")` }],
    ["a hash of another length", { outputs: `("out","","sha1","${hash}")` }],
    ["a hash of an odd number of digits", { outputs: `("out","","sha256","${hash}0")` }],
    ["an unknown hash type", { outputs: '("out","","r:sha384","")' }],
    ["an empty output name", { outputs: '("","","r:sha256","")' }],
    ["an output twice", { outputs: `${floating},${floating}` }],
    ["a source of another directory", { sources: `"${source.replace("opt", "nix")}"` }],
    ["a source twice", { sources: `"${source}","${source}"` }],
    ["a source twice, once unclean", { sources: `"${source}","${source}/."` }],
    ["a relative source", { sources: '"x"' }],
    ["an input of another directory", { inputs: `("${input.replace("opt", "nix")}",["out"])` }],
    ["an input twice", { inputs: `("${input}",["out"]),("${input}",["dev"])` }],
    ["an input's output with a bad name", { inputs: `("${input}",["a^b"])` }],
    ["a variable twice", { env: '("a","1"),("b","2"),("a","3")' }],
  ] as const) {
    test(`cannot have ${what}`, () => {
      assert.throws(
        () => parse(parts),
        (error) => hasCode(error, "drv.invalid"),
      );
    });
  }

  test("cannot be that of a derivation without a name", () => {
    assert.throws(
      () => parseDerivation(defaultStoreDirectory, "", Buffer.from("Derive(")),
      (error) => hasCode(error, "drv.invalid"),
    );
  });

  test("is nothing but a syntax error when cut short", () => {
    fc.assert(
      fc.property(derivations, fc.nat(), (derivation, at) => {
        const text = printDerivation(derivation);
        assert.throws(
          () => parseDerivation(derivation.directory, "t", text.subarray(0, at % text.length)),
          (error) => hasCode(error, "drv.syntax"),
        );
      }),
    );
  });

  test("with any byte changed is read or refused, never a crash", () => {
    fc.assert(
      fc.property(derivations, fc.nat(), fc.nat({ max: 255 }), (derivation, at, byte) => {
        const text = printDerivation(derivation);
        text[at % text.length] = byte;
        try {
          const read = parseDerivation(derivation.directory, "t", text);
          assert.deepEqual(parseDerivation(read.directory, "t", printDerivation(read)), read);
        } catch (error) {
          assert.ok(error instanceof KilnError);
          assert.notEqual(error.kind, "internal");
        }
      }),
    );
  });
});
