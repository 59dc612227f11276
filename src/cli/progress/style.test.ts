import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeStyle, progressKind, wantsAscii, wantsColour } from "./style.ts";

describe("colour", () => {
  test("is for terminals", () => {
    assert.ok(wantsColour("auto", {}, true));
    assert.ok(!wantsColour("auto", {}, false));
    assert.ok(!wantsColour("auto", { TERM: "dumb" }, true));
  });
  test("goes by NO_COLOR when that is not empty, and by FORCE_COLOR", () => {
    assert.ok(!wantsColour("auto", { NO_COLOR: "1" }, true));
    assert.ok(wantsColour("auto", { NO_COLOR: "" }, true));
    assert.ok(wantsColour("auto", { FORCE_COLOR: "1" }, false));
  });
  test("is decided by the flag before all", () => {
    assert.ok(wantsColour("always", { NO_COLOR: "1" }, false));
    assert.ok(!wantsColour("never", { FORCE_COLOR: "1" }, true));
  });
});

describe("shapes", () => {
  test("are ASCII where the locale is not UTF-8", () => {
    assert.ok(wantsAscii({}));
    assert.ok(wantsAscii({ LANG: "C" }));
    assert.ok(wantsAscii({ LC_ALL: "C", LANG: "de_DE.UTF-8" }));
    assert.ok(wantsAscii({ LANG: "C.UTF-8", TERM: "linux" }));
    assert.ok(!wantsAscii({ LANG: "C.UTF-8" }));
    assert.ok(!wantsAscii({ LC_ALL: "", LANG: "en_US.utf8" }));
  });
  test("come with their colour", () => {
    assert.equal(makeStyle({ colour: false, ascii: false }).shape("failed"), "✗");
    assert.equal(makeStyle({ colour: false, ascii: true }).shape("failed"), "x");
    assert.equal(makeStyle({ colour: true, ascii: true }).shape("built"), "\u001b[32m+\u001b[39m");
  });
});

test("progress is a tree on a terminal and plain elsewhere", () => {
  assert.equal(progressKind("auto", {}, true), "tree");
  assert.equal(progressKind("auto", {}, false), "plain");
  assert.equal(progressKind("auto", { CI: "1" }, true), "plain");
  assert.equal(progressKind("auto", { TERM: "dumb" }, true), "plain");
  assert.equal(progressKind("tree", { CI: "1" }, false), "tree");
});
