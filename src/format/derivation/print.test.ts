import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../../util/kiln-error.ts";
import { printContentAddress } from "../content-address.ts";
import { sha256 } from "../hash.ts";
import { temporaryOutputPath } from "../path-digest.ts";
import { defaultStoreDirectory, parseStoreDirectory, parseStorePath } from "../store-path.ts";
import { derivations } from "./arbitrary.test.ts";
import type { Derivation } from "./derivation.ts";
import { derivationHash } from "./hash.ts";
import { parseDerivation } from "./parse.ts";
import { inputPlaceholder } from "./placeholders.ts";
import {
  derivationObject,
  derivationPath,
  derivationReferences,
  printDerivation,
} from "./print.ts";

const hello = "/opt/zb/store/a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt";
const copyText = `Derive([("out","","r:sha256","")],[],["${hello}"],"x86_64-linux","/bin/sh",["-c","cat $in > $out"],[("in","${hello}"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9")])`;
const copy = parseDerivation(defaultStoreDirectory, "copy", Buffer.from(copyText));

describe("derivations", () => {
  test("survive being written and read", () => {
    fc.assert(
      fc.property(derivations, (derivation) => {
        const text = printDerivation(derivation);
        const read = parseDerivation(derivation.directory, derivation.name, text);
        assert.deepEqual(read, derivation);
        assert.deepEqual([...read.env.keys()], [...derivation.env.keys()]);
        assert.deepEqual(printDerivation(read), text);
      }),
    );
  });

  test("are written in order whatever order they are in", () => {
    fc.assert(
      fc.property(derivations, (derivation) => {
        const reversed: Derivation = {
          ...derivation,
          inputDerivations: new Map(
            [...derivation.inputDerivations]
              .map(([path, names]) => [path, names.toReversed()] as const)
              .toReversed(),
          ),
          inputSources: derivation.inputSources.toReversed(),
          env: new Map([...derivation.env].toReversed()),
          outputs: new Map([...derivation.outputs].toReversed()),
        };
        assert.deepEqual(printDerivation(reversed), printDerivation(derivation));
        assert.equal(derivationPath(reversed), derivationPath(derivation));
      }),
    );
  });

  // What zb gives for this one.
  test("have zb's paths, addresses, placeholders and hashes", () => {
    const { path, ca, contents, references } = derivationObject(copy);
    assert.equal(path, "/opt/zb/store/sn4m4g8kl5wsyn5pyim0dx33xfh9hjck-copy.drv");
    assert.equal(
      printContentAddress(ca),
      "text:sha256:1m2b4bl4qlld5cnwg63hcvzyjw8cla03ynrbz6dqw72igkzqndnn",
    );
    assert.equal(contents.toString(), copyText);
    assert.deepEqual(references, [hello]);
    assert.equal(
      temporaryOutputPath(path, "out"),
      "/opt/zb/store/00mf3gvsl1l800vmnxs6frp7jy8j16qd-copy",
    );
    assert.equal(
      inputPlaceholder(path, "out"),
      "/0hd47h45m55gbvcbik1gdyvck8rkpm62kzz7dfbska6syigh25wg",
    );
    assert.equal(
      inputPlaceholder(path, "dev"),
      "/0dfafm13h4nkaldyf5glqyvm9wfcilqw7j2ia25aqdskilnp396s",
    );
    assert.equal(
      derivationHash(copy, () => undefined).rawBase16(),
      "9488562e3604650d3c8f6a77eabd58c0b958be4943cc08518bb3d07c35220d3e",
    );
  });

  test("refer to their sources and derivations, sorted, once", () => {
    const source = parseStorePath(hello);
    const input = parseStorePath("/opt/zb/store/9rgxzwrmhh3z1lqrhx2q22r4fd4bqmqk-abc.drv");
    const derivation = {
      ...copy,
      inputSources: [source, input],
      inputDerivations: new Map([[input, ["out"]]]),
    };
    assert.deepEqual(derivationReferences(derivation), [input, source]);
  });

  test("have escapes in the path of a fixed output where the directory needs them", () => {
    const outputs = new Map([
      ["out", { type: "fixed", ca: { method: "flat", hash: sha256("") } } as const],
    ]);
    const odd = { ...copy, directory: parseStoreDirectory("/a\tb"), inputSources: [], outputs };
    const written = printDerivation(odd);
    assert.match(written.toString(), /^Derive\(\[\("out","\/a\\tb\//);
    assert.deepEqual(parseDerivation(odd.directory, odd.name, written), odd);
  });

  test("cannot be written without a name, with foreign inputs or with bad output names", () => {
    const foreign = parseStorePath("/nix/store/9rgxzwrmhh3z1lqrhx2q22r4fd4bqmqk-abc.drv");
    const floating = { type: "floating", method: "recursive", hashType: "sha256" } as const;
    const faults: Partial<Derivation>[] = [
      { name: "" },
      { inputSources: [foreign] },
      { inputDerivations: new Map([[foreign, ["out"]]]) },
      { outputs: new Map([["a!b", floating]]) },
    ];
    for (const fault of faults) {
      assert.throws(
        () => printDerivation({ ...copy, ...fault }),
        (error) => hasCode(error, "drv.invalid"),
      );
    }
  });
});
