import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../util/kiln-error.ts";
import { defaultStoreDirectory } from "../store-path.ts";
import { parseDerivation } from "./parse.ts";
import { checkRealizable } from "./validate.ts";

const hash = "1c1616853f5f59cf3d15d72146dbee286c54d01d7745162bf473b42d71b2bdbb";

function check(outputs: string): void {
  const text = `Derive([${outputs}],[],[],"s","b",[],[])`;
  checkRealizable(parseDerivation(defaultStoreDirectory, "t", Buffer.from(text)));
}

describe("a derivation can be realized", () => {
  for (const outputs of [
    '("dev","","r:sha256",""),("out","","r:sha256","")',
    '("bin","","r:sha256","")',
    `("out","","md5","${hash.slice(0, 32)}")`,
    `("out","","text:sha256","${hash}")`,
  ]) {
    test(`with ${outputs}`, () => {
      check(outputs);
    });
  }

  for (const outputs of [
    "",
    '("out","","sha256","")',
    '("out","","r:sha512","")',
    '("out","","text:sha256","")',
    `("bin","","r:sha256","${hash}")`,
    `("out","","r:sha256","${hash}"),("dev","","r:sha256","")`,
    `("out","","r:sha256","${hash}"),("zzz","","r:sha256","${hash}")`,
  ]) {
    test(`but not with ${outputs === "" ? "no outputs" : outputs}`, () => {
      assert.throws(
        () => check(outputs),
        (error) => hasCode(error, "drv.notRealizable"),
      );
    });
  }
});
