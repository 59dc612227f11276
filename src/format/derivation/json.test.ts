import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  defaultStoreDirectory,
  derivationNameOf,
  parseStorePath,
  storePathFor,
} from "../store-path.ts";
import { derivationToJson } from "./json.ts";
import { parseDerivation } from "./parse.ts";

const fixtures = fileURLToPath(new URL("../../../test/fixtures/derivations", import.meta.url));
const texts = globSync("*.drv", { cwd: fixtures });

describe("derivations as JSON", () => {
  // The pairs were made by zb v0.2.
  for (const file of texts) {
    test(`${file} is as zb shows it`, () => {
      const drvPath = storePathFor(defaultStoreDirectory, basename(file));
      const text = readFileSync(join(fixtures, file));
      const shown = readFileSync(join(fixtures, file.replace(/drv$/, "json")), "utf8");
      const derivation = parseDerivation(defaultStoreDirectory, derivationNameOf(drvPath), text);
      assert.equal(`${JSON.stringify(derivationToJson(derivation))}\n`, shown);
      assert.deepEqual(derivationToJson(derivation, drvPath), derivationToJson(derivation));
    });
  }

  test("exist as fixtures", () => {
    assert.ok(texts.length >= 4);
  });

  test("have U+FFFD for bytes that are not UTF-8, and variables of any name", () => {
    const start = Buffer.from('Derive([("out","","r:sha256","")],[],[],"s","b",[],[("__proto__","');
    const text = Buffer.concat([start, Buffer.from([0xff]), Buffer.from('")])')]);
    const derivation = parseDerivation(defaultStoreDirectory, "x", text);
    const json = JSON.stringify(
      derivationToJson(derivation, parseStorePath(`/s/${"0".repeat(32)}-x.drv`)).env,
    );
    assert.equal(json, '{"__proto__":"\ufffd"}');
  });
});
