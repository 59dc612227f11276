import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import {
  checkBuildUsers,
  DEFAULT_BUILD_USERS_GROUP,
  formatBuildUser,
  parseBuildUser,
  sandboxModeOf,
} from "./options.ts";
import { canSandbox, systemSupportsSandbox } from "./sandbox-support.ts";

describe("a build user", () => {
  test("is written uid:gid, and read again", () => {
    const user = { uid: 256_001, gid: 256_000 };
    assert.equal(formatBuildUser(user), "256001:256000");
    assert.deepEqual(parseBuildUser("256001:256000"), user);
    assert.deepEqual(parseBuildUser("0:0"), { uid: 0, gid: 0 });
  });
  for (const text of [
    "",
    "1",
    "1:",
    ":1",
    "1:2:3",
    "a:b",
    "-1:2",
    "+1:2",
    " 1:2",
    "1:4294967295",
  ]) {
    test(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseBuildUser(text),
        (e) => hasCode(e, "users.invalid"),
      );
    });
  }
  test("has a uid of its own, but may share its group", () => {
    checkBuildUsers([]);
    checkBuildUsers([
      { uid: 1, gid: 9 },
      { uid: 2, gid: 9 },
    ]);
    assert.throws(
      () =>
        checkBuildUsers([
          { uid: 1, gid: 8 },
          { uid: 1, gid: 9 },
        ]),
      (e) => hasCode(e, "users.duplicate"),
    );
  });
  test("is by convention a member of the group zbld", () => {
    assert.equal(DEFAULT_BUILD_USERS_GROUP, "zbld");
  });
});

describe("isolation", () => {
  const places = { directory: "/s", database: "/d" };
  test("is used where it is possible, unless the options say otherwise", () => {
    assert.equal(sandboxModeOf(places), "auto");
    assert.equal(sandboxModeOf({ ...places, sandbox: "true" }), "true");
    assert.equal(sandboxModeOf({ ...places, disableSandbox: true }), "false");
    assert.equal(sandboxModeOf({ ...places, disableSandbox: false }), "auto");
    assert.equal(sandboxModeOf({ ...places, disableSandbox: true, sandbox: "true" }), "false");
  });
  test("is supported on Linux, and possible only where it is supported", () => {
    assert.equal(systemSupportsSandbox(), process.platform === "linux");
    assert.ok(systemSupportsSandbox() || !canSandbox());
  });
  test("is possible for root on Linux", { skip: process.geteuid?.() !== 0 }, () => {
    assert.equal(canSandbox(), systemSupportsSandbox());
  });
});
