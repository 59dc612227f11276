import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { placeOf } from "./entry-name.ts";

describe("placeOf", () => {
  for (const [name, place] of [
    ["a", ["a"]],
    ["a/b", ["a", "b"]],
    ["a/b/", ["a", "b"]],
    ["./a//./b", ["a", "b"]],
    ["a/../b", ["b"]],
    ["a/b/../../c", ["c"]],
    [".", []],
    ["./", []],
    ["a/..", []],
    ["...", ["..."]],
    ["..a", ["..a"]],
    ["C:\\a", ["C:\\a"]],
  ] as const) {
    it(`takes ${JSON.stringify(name)} for ${JSON.stringify(place)}`, () => {
      assert.deepEqual(placeOf(Buffer.from(name), 0), place);
    });
  }

  for (const name of ["", "/", "/a", "//a", "..", "../a", "a/../../b", "a\0b", "\xff"]) {
    it(`refuses ${JSON.stringify(name)}`, () => {
      assert.throws(() => placeOf(Buffer.from(name, "latin1"), 0), { code: "extract.entry" });
    });
  }

  it("does not take back the fixed elements", () => {
    assert.deepEqual(placeOf(Buffer.from("a/b/../c"), 1), ["a", "c"]);
    for (const name of ["a/../b", "a/..", "../b", "a/b/../../c"]) {
      assert.throws(() => placeOf(Buffer.from(name), 1), { code: "extract.entry" });
    }
  });

  it("limits elements to 255 and paths to 3584 bytes", () => {
    assert.ok(placeOf(Buffer.from("é".repeat(127)), 0));
    assert.throws(() => placeOf(Buffer.from("é".repeat(128)), 0), { code: "extract.entry" });
    assert.ok(placeOf(Buffer.from("d/".repeat(1792)), 0));
    assert.throws(() => placeOf(Buffer.from(`${"d/".repeat(1792)}d`), 0), {
      code: "extract.entry",
    });
  });

  it("never leads outside", () => {
    const element = fc.constantFrom("a", "b", ".", "..", "", "...", "\0", "/");
    fc.assert(
      fc.property(fc.array(element), fc.integer({ min: 0, max: 2 }), (elements, fixed) => {
        let place: string[];
        try {
          place = placeOf(Buffer.from(elements.join("/")), fixed);
        } catch {
          return;
        }
        assert.ok(place.every((part) => /^[^/\0]+$/.test(part) && part !== "." && part !== ".."));
      }),
    );
  });
});
