import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../util/kiln-error.ts";
import {
  defaultStoreDirectory,
  derivationNameOf,
  digestOf,
  directoryOf,
  isDerivationPath,
  joinPath,
  nameOf,
  objectNameOf,
  parsePathInDirectory,
  parseStoreDirectory,
  parseStorePath,
  pathStyle,
  storePathFor,
} from "./store-path.ts";

const digest = "s66mzxpvicwk07gjbjfw9izjfa797vsw";
const directories = fc.constantFrom(
  "/opt/zb/store",
  "/",
  "/x",
  "C:\\zb\\store",
  "C:\\",
  "\\\\s\\share\\",
);
const names = fc.string({
  unit: fc.constantFrom(..."aZ09+-._=".split("")),
  minLength: 1,
  maxLength: 211,
});

describe("store paths", () => {
  test("are put together and taken apart", () => {
    fc.assert(
      fc.property(directories, names, (directory, name) => {
        const path = storePathFor(parseStoreDirectory(directory), `${digest}-${name}`);
        assert.equal(parseStorePath(path), path);
        assert.equal(directoryOf(path), directory);
        assert.equal(objectNameOf(path), `${digest}-${name}`);
        assert.equal(digestOf(path), digest);
        assert.equal(nameOf(path), name);
      }),
    );
  });

  test("cleaning a path twice is cleaning it once", () => {
    const element = fc.constantFrom("", ".", "..", "...", "a", "b c");
    fc.assert(
      fc.property(fc.array(element), (elements) => {
        const directory = parseStoreDirectory(`/${elements.join("/")}`);
        assert.equal(parseStoreDirectory(directory), directory);
        assert.doesNotMatch(directory, /\/(?:\.{0,2}\/|\.{1,2}$)|.\/$/);
      }),
    );
  });

  test("are never longer than 244 bytes of object name", () => {
    assert.equal(nameOf(parseStorePath(`/s/${digest}-${"n".repeat(211)}`)).length, 211);
    assert.throws(
      () => parseStorePath(`/s/${digest}-${"n".repeat(212)}`),
      (error) => hasCode(error, "path.invalid"),
    );
  });

  test("of a derivation name it", () => {
    const path = parseStorePath(`/s/${digest}-hello.drv`);
    assert.ok(isDerivationPath(path));
    assert.equal(derivationNameOf(path), "hello");
    assert.equal(derivationNameOf(parseStorePath(`/s/${digest}-hello`)), "hello");
  });

  test("know their style", () => {
    assert.equal(pathStyle(defaultStoreDirectory), "posix");
    assert.equal(pathStyle(parseStoreDirectory("C:/x")), "windows");
  });

  test("of another directory are outside", () => {
    const directory = parseStoreDirectory("/a");
    for (const text of ["/b", "/ab", "/a", "/", "C:\\a"]) {
      assert.throws(
        () => parsePathInDirectory(directory, `${text}/${digest}-x/../../y`),
        (error) => hasCode(error, "path.invalid"),
      );
    }
  });

  test("cannot be reached from inside an object", () => {
    assert.deepEqual(
      parsePathInDirectory(parseStoreDirectory("/a"), `/a/${digest}-x/../${digest}-y/z`),
      {
        path: `/a/${digest}-y`,
        sub: "z",
      },
    );
  });

  for (const name of [
    "",
    "x",
    digest,
    `${digest}-`,
    `${digest}-a b`,
    `${digest}-a/b`,
    `a/${digest}-b`,
    `${digest}-é`,
    `${digest}-a\n`,
  ]) {
    test(`have no object name ${JSON.stringify(name)}`, () => {
      assert.throws(
        () => storePathFor(defaultStoreDirectory, name),
        (error) => hasCode(error, "path.invalid"),
      );
    });
  }

  test("say what is wrong with them", () => {
    assert.throws(() => parseStorePath("x"), /store path "x" is not absolute/);
    assert.throws(() => parseStorePath("/s/x"), /"x" is too short/);
    assert.throws(() => parseStorePath(`/s/${digest}_hello`), /no dash/);
    assert.throws(() => parseStorePath(`/s/${digest}-h🌱`), /illegal character "🌱"/);
  });

  test("are joined with what is inside them", () => {
    assert.equal(joinPath(defaultStoreDirectory, "a", "", "../b"), "/opt/zb/store/b");
  });
});
