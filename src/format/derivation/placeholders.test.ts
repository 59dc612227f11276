import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../../util/kiln-error.ts";
import { defaultStoreDirectory, parseStorePath } from "../store-path.ts";
import { parseDerivation } from "./parse.ts";
import { expandDerivation, inputPlaceholder, ownPlaceholder, replaceAll } from "./placeholders.ts";

const out = ownPlaceholder("out");
const dev = ownPlaceholder("dev");

describe("placeholders", () => {
  test("of own outputs are zb's", () => {
    assert.equal(out, "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
    assert.equal(dev, "/02qcpld1y6xhs5gz9bchpxaw0xdhmsp5dv88lh25r2ss44kh8dxz");
  });

  test("of inputs do not depend on the store directory", () => {
    const digest = "sn4m4g8kl5wsyn5pyim0dx33xfh9hjck";
    assert.equal(
      inputPlaceholder(parseStorePath(`/opt/zb/store/${digest}-copy.drv`), "out"),
      inputPlaceholder(parseStorePath(`/x/${digest}-copy.drv`), "out"),
    );
  });

  test("are replaced wherever they stand", () => {
    const replacements = new Map([
      [out, "/a"],
      [dev, ""],
    ]);
    assert.equal(replaceAll(`${out}${dev}${out}/bin:${dev}`, replacements), "/a/a/bin:");
    assert.equal(
      replaceAll(`/${out}0/${out.slice(0, -1)}`, replacements),
      `//a0/${out.slice(0, -1)}`,
    );
  });
});

describe("replacing", () => {
  test("is one pass from left to right, the longest key first", () => {
    const texts = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 12 });
    const keys = fc.string({ unit: fc.constantFrom("a", "b", "/"), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        texts,
        fc.dictionary(keys, fc.constantFrom("", "x", "ab", "/")),
        (text, dictionary) => {
          const replacements = new Map(Object.entries(dictionary));
          let expected = "";
          for (let at = 0; at < text.length;) {
            const matching = [...replacements].filter(([key]) => text.startsWith(key, at));
            const [key, value] = matching.toSorted(([a], [b]) => b.length - a.length)[0] ?? [
              text.charAt(at),
              text.charAt(at),
            ];
            expected += value;
            at += key.length;
          }
          assert.equal(replaceAll(text, replacements), expected);
        },
      ),
    );
  });

  test("nothing leaves the text alone", () => {
    assert.equal(replaceAll("a", new Map()), "a");
    assert.throws(() => replaceAll("a", new Map([["", "b"]])), RangeError);
  });
});

describe("expanding a derivation", () => {
  const text = `Derive([("out","","r:sha256","")],[],[],"${out}","${out}/sh",["${out}"],[("B${out}","1"),("a","${out}")])`;
  const derivation = parseDerivation(defaultStoreDirectory, "x", Buffer.from(text));

  test("replaces in builder, arguments, and names and values of the environment", () => {
    const expanded = expandDerivation(derivation, new Map([[out, "/o"]]));
    assert.equal(expanded.builder, "/o/sh");
    assert.deepEqual(expanded.args, ["/o"]);
    assert.deepEqual(
      [...expanded.env],
      [
        ["B/o", "1"],
        ["a", "/o"],
      ],
    );
    assert.equal(expanded.system, out);
  });

  test("keeps the environment in order", () => {
    const expanded = expandDerivation(derivation, new Map([[`B${out}`, "b"]]));
    assert.deepEqual([...expanded.env.keys()], ["a", "b"]);
  });

  test("refuses to make two variables one", () => {
    assert.throws(
      () => expandDerivation(derivation, new Map([[`B${out}`, "a"]])),
      (error) => hasCode(error, "drv.invalid"),
    );
  });
});
