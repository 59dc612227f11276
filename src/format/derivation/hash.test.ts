import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../../util/kiln-error.ts";
import { parseContentAddress } from "../content-address.ts";
import { defaultStoreDirectory, storePathFor, type StorePath } from "../store-path.ts";
import { derivations, storePaths } from "./arbitrary.test.ts";
import type { Derivation, DerivationOutput } from "./derivation.ts";
import { derivationHash, structuralHash } from "./hash.ts";
import { parseDerivation } from "./parse.ts";
import { inputPlaceholder, ownPlaceholder } from "./placeholders.ts";

const realized = storePathFor(defaultStoreDirectory, "a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt");
const ca = parseContentAddress("fixed:sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s");

const floating = derivations.map((derivation): Derivation => {
  const output: DerivationOutput = { type: "floating", method: "recursive", hashType: "sha256" };
  return { ...derivation, outputs: new Map([["out", output]]) };
});

/** A derivation that says `cat <the input>`. */
function user(drvPath: StorePath): Derivation {
  const placeholder = inputPlaceholder(drvPath, "out");
  const text = `Derive([("out","","r:sha256","")],[("${drvPath}",["out"])],[],"s","/bin/sh",["cat ${placeholder}"],[("out","${ownPlaceholder("out")}")])`;
  return parseDerivation(defaultStoreDirectory, "user", Buffer.from(text));
}

describe("derivation hashes", () => {
  test("of a fixed output cover nothing but the output", () => {
    fc.assert(
      fc.property(derivations, (derivation) => {
        const outputs = new Map([["out", { type: "fixed", ca } as const]]);
        const hash = derivationHash({ ...derivation, name: "abc", outputs }, () => undefined);
        assert.equal(
          hash.rawBase16(),
          "e768fe9bf08c673cb082c0e8beb91aec6bb530680267baeaf4fdd67a099e014b",
        );
      }),
    );
  });

  test("do not tell apart derivations whose inputs were realized as the same", () => {
    fc.assert(
      fc.property(storePaths(".drv"), storePaths("-other.drv"), (a, b) => {
        const [x, y] = [user(a), user(b)].map((one) => derivationHash(one, () => realized));
        assert.ok(x?.equals(y ?? x));
        assert.notDeepEqual(user(a), user(b));
      }),
    );
  });

  test("are those of the derivation with its inputs as sources", () => {
    const drvPath = storePathFor(defaultStoreDirectory, "9rgxzwrmhh3z1lqrhx2q22r4fd4bqmqk-abc.drv");
    const text = `Derive([("out","","r:sha256","")],[],["${realized}"],"s","/bin/sh",["cat ${realized}"],[("out","${ownPlaceholder("out")}")])`;
    const resolved = parseDerivation(defaultStoreDirectory, "user", Buffer.from(text));
    assert.deepEqual(
      derivationHash(user(drvPath), () => realized),
      derivationHash(resolved, () => undefined),
    );
  });

  test("change with everything else of a floating derivation", () => {
    fc.assert(
      fc.property(floating, (derivation) => {
        const hash = derivationHash(derivation, () => realized);
        for (const change of [
          { name: `${derivation.name}-` },
          { system: `${derivation.system}x` },
          { builder: `${derivation.builder}x` },
          { args: [...derivation.args, ""] },
        ]) {
          assert.ok(!derivationHash({ ...derivation, ...change }, () => realized).equals(hash));
        }
      }),
    );
  });

  test("need every input realized", () => {
    const drvPath = storePathFor(defaultStoreDirectory, "9rgxzwrmhh3z1lqrhx2q22r4fd4bqmqk-abc.drv");
    assert.throws(
      () => derivationHash(user(drvPath), () => undefined),
      (error) => hasCode(error, "drv.missingRealization"),
    );
  });

  test("of a fixed output beside others do not exist", () => {
    const outputs = new Map([
      ["out", { type: "fixed", ca } as const],
      ["bin", { type: "fixed", ca } as const],
    ]);
    assert.throws(
      () => derivationHash({ ...user(realized), outputs }, () => realized),
      (error) => hasCode(error, "drv.notRealizable"),
    );
  });

  test("cover the whole derivation when only an output of another name is fixed", () => {
    const outputs = new Map([["bin", { type: "fixed", ca } as const]]);
    const derivation = { ...user(realized), outputs };
    const hash = derivationHash(derivation, () => realized);
    assert.ok(!derivationHash({ ...derivation, system: "other" }, () => realized).equals(hash));
  });
});

describe("structural hashes", () => {
  test("are equal where derivation hashes can become so", () => {
    fc.assert(
      fc.property(storePaths(".drv"), storePaths(".drv"), (a, b) => {
        assert.ok(structuralHash(user(a)).equals(structuralHash(user(b))));
      }),
    );
  });

  test("see no digest of a source either", () => {
    fc.assert(
      fc.property(floating, storePaths(), storePaths(), (derivation, a, b) => {
        const [x, y] = [a, b].map((source) =>
          structuralHash({ ...derivation, inputSources: [source] }),
        );
        assert.ok(x?.equals(y ?? x));
      }),
    );
  });

  test("differ with the text", () => {
    const derivation = user(realized);
    assert.ok(!structuralHash(derivation).equals(structuralHash({ ...derivation, args: [] })));
  });
});
