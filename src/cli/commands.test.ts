import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { parseStorePath } from "../format/store-path.ts";
import type { BuildSummaryMessage } from "../rpc/protocol.ts";
import { hasCode } from "../util/kiln-error.ts";
import { oneBuild } from "./builds.ts";
import { table } from "./commands/ps.ts";
import { makeStyle } from "./progress/style.ts";
import { listing } from "./commands/targets.ts";
import { versionLines } from "./version.ts";

const drvPath = parseStorePath(`/opt/zb/store/${"0".repeat(32)}-x.drv`);

function build(id: string, more: Partial<BuildSummaryMessage> = {}): BuildSummaryMessage {
  return {
    id,
    status: "active",
    state: "running",
    startedAt: "2026-11-22T12:00:00.000Z",
    endedAt: null,
    targets: ["app-test", "pack", "site", "docs"].map((name) => ({ name, drvPath })),
    counts: { built: 3, reused: 10, running: 2, waiting: 3 },
    ...more,
  };
}

const ids = ["01a20526-4b87-7ab8-9407-db2c23eb816e", "01a20526-4b88-7ab8-9407-00007ac4b2d9"];

const context = { kiln: (words: string): string => `kiln ${words}` };

describe("a build", () => {
  const builds = ids.map((id) => build(id));
  test("is known by the end of its id, or by its beginning", () => {
    assert.equal(oneBuild(builds, "23eb816e", context).id, ids[0]);
    assert.equal(oneBuild(builds, "01a20526-4b88", context).id, ids[1]);
  });
  test("has to be meant alone", () => {
    assert.throws(
      () => oneBuild(builds, "01a20526", context),
      (e) => hasCode(e, "build.ambiguous"),
    );
  });
  test("is unknown by less than 6 characters, and by others", () => {
    assert.throws(
      () => oneBuild(builds, "b816e", context),
      (e) => hasCode(e, "build.unknown"),
    );
    assert.throws(
      () => oneBuild(builds, "ffffffff", context),
      (e) => hasCode(e, "build.unknown"),
    );
  });
});

test("ps is a table", () => {
  const ended = {
    state: "built",
    endedAt: "2026-11-22T12:00:03.100Z",
    user: "dev",
    counts: { built: 1 },
  };
  const now = Date.parse("2026-11-22T12:01:12Z");
  const style = makeStyle({ colour: false, ascii: false });
  const running = new Map([[ids[1]!, "app 49s, docs 6s"]]);
  assert.deepEqual(table([build(ids[1]!), build(ids[0]!, ended)], { now, style, running }), [
    "BUILD     STATE      DONE   TIME    USER  TARGETS                  NOW",
    "7ac4b2d9  ▸ running  13/18  1m 12s  -     app-test, pack, site, …  app 49s, docs 6s",
    "23eb816e  ✓ built    1/1    3.1s    dev   app-test, pack, site, …",
  ]);
  const failed = { state: "failed", endedAt: ended.endedAt, counts: { failed: 1, skipped: 2 } };
  const [, skipped] = table([build(ids[0]!, failed)], { now, style, running: new Map() });
  assert.match(skipped ?? "", /failed +1\/3 /);
  const coloured = makeStyle({ colour: true, ascii: true });
  const [head = "", row = ""] = table([build(ids[0]!, ended)], {
    now,
    style: coloured,
    running: new Map(),
  });
  assert.equal(head, "BUILD     STATE    DONE  TIME  USER  TARGETS");
  assert.equal(
    stripVTControlCharacters(row),
    "23eb816e  + built  1/1   3.1s  dev   app-test, pack, site, …",
  );
});

test("targets are listed as they are named, with their parameters", () => {
  const lines = listing(".", [
    { name: "", kind: "derivation" },
    {
      name: "tool",
      kind: "target",
      parameters: [
        { name: "race", kind: "flag", default: false, doc: "with the race detector" },
        { name: "os", kind: "choice", choices: ["linux", "macos"] },
      ],
    },
  ]);
  assert.deepEqual(lines, [
    ".       derivation",
    ".#tool  target with parameters",
    "    --arg race=flag  (default false)  with the race detector",
    "    --arg os=linux|macos  (required)",
  ]);
});

test("the version is printed as zb prints its own", () => {
  const report = { kiln: "1.2.3", node: "24.0.0", system: "x86_64-linux", cpus: 2, os: "Linux 6" };
  assert.deepEqual(versionLines(report), [
    "kiln 1.2.3",
    "System:       x86_64-linux",
    "CPUs:         2",
    "OS:           Linux 6",
    "Node.js:      24.0.0",
  ]);
});
