import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { shellWord, storeFlags, typedWith } from "./typed.ts";

describe("a command to be typed next", () => {
  test("has the flags that named the store, and no others", () => {
    assert.deepEqual(storeFlags({ debug: true, cache: "/c" }), []);
    const flags = { store: "/my stores/one", storeSocket: "s.sock", config: ["a.json", "b.json"] };
    assert.deepEqual(storeFlags(flags).join(" ").split(" --"), [
      "--store '/my stores/one'",
      "store-socket s.sock",
      "config a.json",
      "config b.json",
    ]);
  });
  test("is what was typed, with a flag before the words that are none", () => {
    assert.equal(
      typedWith("kiln", ["build", ".#a b"], "--keep-failed"),
      "kiln build '.#a b' --keep-failed",
    );
    assert.equal(
      typedWith("bin/kiln", ["build", "--", "-x"], "--keep-failed"),
      "bin/kiln build --keep-failed -- -x",
    );
  });
  for (const [word, typed] of [
    ["examples/hello#a", "examples/hello#a"],
    ["#a", "'#a'"],
    ["it's", String.raw`'it'\''s'`],
    ["$(x)", "'$(x)'"],
    ["", "''"],
  ] as const) {
    test(`quotes ${JSON.stringify(word)} as far as it has to be`, () => {
      assert.equal(shellWord(word), typed);
    });
  }
});
