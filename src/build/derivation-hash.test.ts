import assert from "node:assert/strict";
import { test } from "node:test";
import { derivationHash } from "../format/derivation/hash.ts";
import { derivationPath } from "../format/derivation/print.ts";
import { parseStoreDirectory, parseStorePath, type StorePath } from "../format/store-path.ts";
import { rememberedHash } from "./derivation-hash.ts";
import { shellDerivation } from "./workbench.test.support.ts";

const directory = parseStoreDirectory("/s");
const path = (digit: string): StorePath => parseStorePath(`/s/${digit.repeat(32)}-lib`);

test("a remembered hash is that of the inputs asked about, whatever they were before", () => {
  const lib = shellDerivation(directory, "lib", "");
  const app = shellDerivation(directory, "app", "", {
    inputs: { lib: { drvPath: derivationPath(lib), derivation: lib } },
  });
  for (const digit of ["1", "2", "2", "1"]) {
    const lookup = (): StorePath => path(digit);
    assert.equal(rememberedHash(app, lookup).sri(), derivationHash(app, lookup).sri());
  }
  assert.throws(() => rememberedHash(app, () => undefined), { code: "drv.missingRealization" });
});
