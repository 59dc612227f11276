import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseStoreDirectory } from "../format/store-path.ts";
import { hasCode } from "../util/kiln-error.ts";
import { ownStoreDirectory, placesOf, settingsFrom, usable, withDirectory } from "./settings.ts";

describe("places", () => {
  test("of zb's store directory are zb's", () => {
    const settings = settingsFrom({}, { HOME: "/home/u" });
    assert.equal(settings.directory, "/opt/zb/store");
    assert.equal(settings.socket, "/opt/zb/var/zb/server.sock");
    assert.equal(settings.database, "/opt/zb/var/zb/db.sqlite");
    assert.equal(settings.logDirectory, "/opt/zb/var/log/zb");
    assert.equal(settings.cacheDirectory, "/home/u/.cache/kiln");
    assert.equal(settings.directoryFrom, undefined);
  });

  test("of another directory lie beside it", () => {
    assert.deepEqual(placesOf("/data/store"), {
      database: "/data/var/kiln/db.sqlite",
      logDirectory: "/data/var/kiln/log",
      socket: "/data/var/kiln/server.sock",
    });
  });

  test("flags win over the environment", () => {
    const env = { ZB_STORE_DIR: "/env/store", ZB_STORE_SOCKET: "/env/s", XDG_CACHE_HOME: "/c" };
    const fromEnv = settingsFrom({}, env);
    assert.equal(fromEnv.directory, "/env/store");
    assert.equal(fromEnv.directoryFrom, "ZB_STORE_DIR");
    assert.equal(fromEnv.socket, "/env/s");
    assert.equal(fromEnv.socketFrom, "ZB_STORE_SOCKET");
    assert.equal(fromEnv.cacheDirectory, "/c/kiln");
    const fromFlags = settingsFrom({ store: "/flag/store", storeSocket: "/flag/s" }, env);
    assert.equal(fromFlags.directory, "/flag/store");
    assert.equal(fromFlags.directoryFrom, "--store");
    assert.equal(fromFlags.socketFrom, "--store-socket");
  });

  test("an empty variable counts as absent, an empty flag is refused", () => {
    assert.equal(settingsFrom({}, { ZB_STORE_DIR: "" }).directory, "/opt/zb/store");
    assert.throws(
      () => settingsFrom({ store: "" }, {}),
      (e) => hasCode(e, "usage.value"),
    );
    assert.throws(
      () => settingsFrom({ store: "relative" }, {}),
      (e) => hasCode(e, "usage.value"),
    );
  });

  test("move along with another directory, but for what was named", () => {
    const settings = settingsFrom({ storeSocket: "/s" }, {});
    const moved = withDirectory(settings, parseStoreDirectory("/d/store"));
    assert.equal(moved.database, "/d/var/kiln/db.sqlite");
    assert.equal(moved.socket, "/s");
  });

  test("a user's own store lies below the XDG data directory", () => {
    assert.equal(ownStoreDirectory({ HOME: "/h" }), "/h/.local/share/kiln/store");
    assert.equal(ownStoreDirectory({ HOME: "/h", XDG_DATA_HOME: "/d" }), "/d/kiln/store");
    assert.equal(
      ownStoreDirectory({ HOME: "/h", XDG_DATA_HOME: "d" }),
      "/h/.local/share/kiln/store",
    );
  });
});

test("a directory is usable when it can be written or made", (t) => {
  const top = mkdtempSync(join(tmpdir(), "kiln-usable-"));
  t.after(() => rmSync(top, { recursive: true }));
  mkdirSync(join(top, "there"));
  writeFileSync(join(top, "file"), "");
  assert.ok(usable(join(top, "there")));
  assert.ok(usable(join(top, "not/yet/there")));
  assert.ok(!usable(join(top, "file")));
  assert.ok(!usable(join(top, "file/below")));
});
