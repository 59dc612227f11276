import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../../format/hash.ts";
import { parseStorePath } from "../../format/store-path.ts";
import { type BuildRow, BuildTable, type ResultRow } from "./builds.ts";
import { StoreDatabase } from "./open.ts";

const drv = parseStorePath(`/store/${"a".repeat(32)}-app.drv`);
const out = parseStorePath(`/store/${"b".repeat(32)}-app`);

const build: BuildRow = {
  id: "0190",
  kind: "realize",
  state: "running",
  startedAt: 1000,
  endedAt: undefined,
  user: "dev",
  failure: undefined,
  expansion: undefined,
  targets: [
    { name: "app", drvPath: drv },
    { name: "again", drvPath: drv },
  ],
};

const result: ResultRow = {
  drvPath: drv,
  name: "app",
  state: "running",
  drvHash: undefined,
  executor: undefined,
  isolation: undefined,
  buildUser: undefined,
  buildDirectory: undefined,
  reason: undefined,
  failure: undefined,
  exitCode: undefined,
  signal: undefined,
  startedAt: 1001,
  builderStartedAt: undefined,
  builderEndedAt: undefined,
  endedAt: undefined,
  logSize: undefined,
  outputs: new Map([["out", null]]),
};

function open(): { table: BuildTable } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "kiln-builds-"));
  const database = StoreDatabase.open(join(folder, "db.sqlite"), {
    directory: "/store",
    durability: "process",
  });
  return {
    table: new BuildTable(database),
    [Symbol.dispose](): void {
      database.close();
      rmSync(folder, { recursive: true });
    },
  };
}

test("a build is read back as it was saved, before and after its end", () => {
  using store = open();
  store.table.saveBuild(build);
  assert.deepEqual(store.table.find(build.id), build);
  assert.deepEqual(store.table.underWay(), [build]);
  const ended = { ...build, state: "error", endedAt: 2000, failure: "it broke", expansion: "{}" };
  store.table.saveBuild(ended);
  assert.deepEqual(store.table.find(build.id), ended);
  assert.deepEqual(store.table.underWay(), []);
  assert.equal(store.table.find("0191"), undefined);
});

test("a result is read back as it was saved, before and after its end", () => {
  using store = open();
  store.table.saveBuild(build);
  store.table.saveResult(build.id, result);
  assert.deepEqual(store.table.result(build.id, drv), result);
  const ended: ResultRow = {
    ...result,
    state: "failed",
    drvHash: sha256("app"),
    executor: "process",
    isolation: "none: why",
    buildUser: "zbld1",
    buildDirectory: "/tmp/zb-build-app-1",
    reason: { code: "neverRealised", detail: "{}" },
    failure: { kind: "builder", code: "builder.exit", message: "exit status 1" },
    exitCode: 1,
    signal: "SIGTERM",
    builderStartedAt: 1002,
    builderEndedAt: 1500,
    endedAt: 1600,
    logSize: 0,
    outputs: new Map([
      ["dev", null],
      ["out", out],
    ]),
  };
  store.table.saveResult(build.id, ended);
  assert.deepEqual(store.table.results(build.id), [ended]);
  assert.equal(store.table.result(build.id, out), undefined);
  assert.deepEqual(store.table.counts(build.id), new Map([["failed", 1]]));
});

test("recent builds are those that ended, or else began, last", () => {
  using store = open();
  store.table.saveBuild({ ...build, id: "1", startedAt: 1, endedAt: 9, targets: [] });
  store.table.saveBuild({ ...build, id: "2", startedAt: 5, targets: [] });
  store.table.saveBuild({ ...build, id: "3", startedAt: 7, endedAt: 8, targets: [] });
  assert.deepEqual(store.table.recentIDs(10), ["1", "3", "2"]);
  assert.deepEqual(store.table.recentIDs(1), ["1"]);
  assert.deepEqual(store.table.recentIDs(0), []);
  assert.deepEqual(store.table.recentIDs(-1), []);
});

test("what a name took and where it came from is known from what was built", () => {
  using store = open();
  for (const [id, endedAt, state] of [
    ["1", 1011, "built"],
    ["2", 1021, "built"],
    ["3", 9999, "failed"],
  ] as const) {
    store.table.saveBuild({ ...build, id, targets: [] });
    store.table.saveResult(id, { ...result, state, endedAt });
  }
  assert.deepEqual(store.table.durations("app", 5), [20, 10]);
  assert.deepEqual(store.table.durations("app", 1), [20]);
  assert.deepEqual(store.table.durations("other", 5), []);
  assert.deepEqual(store.table.lastBuilt("app"), { buildID: "2", drvPath: drv });
  assert.equal(store.table.lastBuilt("other"), undefined);
});
