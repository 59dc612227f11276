import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { compareBytes } from "../util/byte-string.ts";
import { hasCode } from "../util/kiln-error.ts";
import { parseContentAddress } from "./content-address.ts";
import { hashBytes, sha256 } from "./hash.ts";
import {
  fromRpc,
  parseObjectInfo,
  parseObjectInfoText,
  printObjectInfo,
  splitObjectInfos,
  toExportTrailer,
  toRpc,
  type ObjectInfo,
} from "./object-info.ts";
import { defaultStoreDirectory, storePathFor, type StorePath } from "./store-path.ts";

const digit = fc.constantFrom(..."0123456789abcdfghijklmnpqrsvwxyz".split(""));
const paths: fc.Arbitrary<StorePath> = fc
  .string({ unit: digit, minLength: 32, maxLength: 32 })
  .map((digest) => storePathFor(defaultStoreDirectory, `${digest}-x.drv`));
const infos: fc.Arbitrary<ObjectInfo> = fc.record(
  {
    storePath: paths,
    narHash: fc.string().map((data) => hashBytes("sha256", data)),
    narSize: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    references: fc.uniqueArray(paths).map((list) => list.toSorted(compareBytes)),
    ca: fc.option(
      fc.string().map((data) => parseContentAddress(`fixed:r:${sha256(data).base32()}`)),
      { nil: undefined },
    ),
  },
  { noNullPrototype: true },
);

const path = storePathFor(defaultStoreDirectory, "a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt");
const complete = `StorePath: ${path}\nNarHash: ${sha256("").base32()}\nNarSize: 120\n`;

describe("object infos", () => {
  test("survive being written and read as text", () => {
    fc.assert(
      fc.property(infos, (info) => {
        assert.deepEqual(parseObjectInfo(printObjectInfo(info)), info);
      }),
    );
  });

  test("name a reference once", () => {
    const info = parseObjectInfo(complete);
    assert.equal(
      printObjectInfo({ ...info, references: [path, path] }),
      `${complete}References: a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt\n`,
    );
  });

  test("survive the wire", () => {
    fc.assert(
      fc.property(infos, (info) => {
        const sent: unknown = JSON.parse(JSON.stringify(toRpc(info)));
        assert.deepEqual(fromRpc(info.storePath, toRpc(info)), info);
        assert.deepEqual(sent, { ...toRpc(info) });
      }),
    );
  });

  test("come apart again when several are printed one after another", () => {
    const separators = fc.constantFrom("", "\n", "\n \t\n");
    fc.assert(
      fc.property(fc.array(infos), separators, (list, separator) => {
        const text = list.map(printObjectInfo).join(separator);
        assert.deepEqual(splitObjectInfos(`${separator}${text}`).map(parseObjectInfo), list);
      }),
    );
  });

  test("are only split where a line begins with StorePath", () => {
    assert.equal(splitObjectInfos(`X: StorePath: a\r StorePath: b\n${complete}`).length, 2);
    assert.deepEqual(splitObjectInfos(" \n"), []);
  });

  test("read from text without hash or size are not complete", () => {
    for (const key of ["NarHash", "NarSize"]) {
      const text = complete.replace(new RegExp(`${key}.*\n`), "");
      assert.equal(parseObjectInfoText(text).storePath, path);
      assert.throws(() => parseObjectInfo(text), new RegExp(`${key} is missing`));
    }
  });

  test("have a size that is a safe integer", () => {
    const large = complete.replace("120", "9007199254740993");
    assert.equal(parseObjectInfoText(large).narSize, 9007199254740993n);
    assert.throws(
      () => parseObjectInfo(large),
      (error) => hasCode(error, "objectInfo.invalid"),
    );
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["a relative store path", "StorePath: x\n"],
    ["a colon at the very end", `${complete}Sig:`],
    ["an unknown key without a value", `${complete}Sig:\n`],
    ["a key twice", `${complete}NarSize: 120\n`],
    ["a size of 0", complete.replace("120", "0")],
    ["a size that is not a number", complete.replace("120", "12x")],
    ["a reference with a directory", `${complete}References: ${path}\n`],
    ["a content address in SRI form", `${complete}CA: fixed:${sha256("").sri()}\n`],
  ] as const) {
    test(`refuse ${what}`, () => {
      assert.throws(
        () => parseObjectInfo(text),
        (error) => hasCode(error, "objectInfo.invalid"),
      );
    });
  }

  test("from the wire are checked", () => {
    const rpc = toRpc(parseObjectInfo(complete));
    for (const bad of [
      { narSize: 0 },
      { narSize: 1.5 },
      { narHash: "x" },
      { references: ["x"] },
      { ca: "x" },
    ]) {
      assert.throws(
        () => fromRpc(path, { ...rpc, ...bad }),
        (error) => hasCode(error, "objectInfo.invalid"),
      );
    }
    assert.equal(fromRpc(path, { ...rpc, ca: null }).ca, undefined);
  });

  test("end an object in an export, without a deriver", () => {
    const info = parseObjectInfo(complete);
    assert.deepEqual(toExportTrailer(info), {
      storePath: path,
      references: [],
      deriver: "",
      ca: undefined,
    });
  });
});
