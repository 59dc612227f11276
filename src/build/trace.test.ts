import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStorePath } from "../format/store-path.ts";
import type { BuildEventBody } from "./events.ts";
import { TraceRecorder } from "./trace.ts";

const drv = (name: string) => parseStorePath(`/s/${"0".repeat(32)}-${name}.drv`);

interface Slice {
  readonly ph: string;
  readonly name: string;
  readonly cat: string;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
}

/** Each result: when it begins, registers and ends, in seconds; what it waits for. */
type Story = Record<string, { at: [number, number, number]; needs?: string[] }>;

function traceOf(story: Story, criticalPath: string[]): Slice[] {
  const told: [at: number, body: BuildEventBody][] = [];
  const tell = (at: number, body: BuildEventBody): void => void told.push([at, body]);
  for (const [name, { at, needs = [] }] of Object.entries(story)) {
    const drvPath = drv(name);
    tell(0, {
      type: "result.planned",
      drvPath,
      name,
      action: "build",
      inputs: needs.map(drv),
      reason: { code: "neverRealised" },
      estimateMs: null,
    });
    const [started, registering, finished] = at;
    tell(started, { type: "result.started", drvPath, executor: "sandbox", buildUser: null });
    const amount = { done: null, total: null, unit: null };
    tell(registering, { type: "result.phase", drvPath, phase: "register", ...amount });
    tell(finished, {
      type: "result.finished",
      drvPath,
      state: "built",
      status: "success",
      outputs: [],
      durationMs: (finished - started) * 1000,
      cpuMs: null,
      maxRssBytes: null,
      exitCode: 0,
      signal: null,
      logSize: 0,
      failure: null,
    });
  }
  const recorder = new TraceRecorder();
  const add = (at: number, body: BuildEventBody): void =>
    recorder.add({
      v: 1,
      seq: 1,
      buildID: "b",
      time: new Date(1e12 + at * 1000).toISOString(),
      ...body,
    });
  add(0, {
    type: "build.started",
    targets: [],
    storeDir: "/s",
    mode: "daemon",
    user: null,
    jobs: 2,
    sandbox: "sandbox",
  });
  for (const [at, body] of told.toSorted(([a], [b]) => a - b)) add(at, body);
  add(100, {
    type: "build.finished",
    state: "built",
    status: "success",
    counts: {},
    durationMs: 100_000,
    criticalPath: criticalPath.map((name) => ({ drvPath: drv(name), durationMs: 1 })),
    paths: [],
  });
  const text = JSON.stringify(recorder);
  return (JSON.parse(text) as { traceEvents: Slice[] }).traceEvents.filter(({ ph }) => ph === "X");
}

const story: Story = {
  lib: { at: [1, 4, 5] },
  docs: { at: [1, 2, 3] },
  app: { at: [6, 9, 10], needs: ["lib"] },
  late: { at: [10, 11, 12] },
};

test("a trace has a slice for each result, and in it the phases", () => {
  const slices = traceOf(story, []);
  const app = slices.find(({ name }) => name === "app");
  assert.deepEqual([app?.ts, app?.dur], [5e6, 5e6], "it begins when its inputs are there");
  const phases = slices.filter(
    ({ cat, tid, ts }) => cat === "phase" && tid === app?.tid && ts >= 5e6,
  );
  assert.deepEqual(
    phases.filter(({ ts }) => ts < 10e6).map(({ name, ts, dur }) => [name, ts / 1e6, dur / 1e6]),
    [
      ["waiting", 5, 1],
      ["running", 6, 3],
      ["registering", 9, 1],
    ],
  );
});

test("slices of a lane do not overlap, and there are no more lanes than needed", () => {
  const results = traceOf(story, []).filter(({ cat }) => cat === "result");
  for (const lane of new Set(results.map(({ tid }) => tid))) {
    const own = results.filter(({ tid }) => tid === lane).toSorted((a, b) => a.ts - b.ts);
    for (const [i, { ts, dur }] of own.entries()) {
      assert.ok(ts + dur <= (own[i + 1]?.ts ?? Infinity));
    }
  }
  // docs, lib and late wait from the beginning.
  assert.deepEqual(Math.max(...results.map(({ tid }) => tid)), 3);
});

test("the critical path has a lane of its own", () => {
  const lane = traceOf(story, ["lib", "app"]).filter(({ tid }) => tid === 0);
  assert.deepEqual(
    lane.map(({ name, ts, dur }) => [name, ts / 1e6, dur / 1e6]),
    [
      ["lib", 1, 4],
      ["app", 6, 4],
    ],
  );
});

test("of a build that was over before there are the results as they ended", () => {
  const recorder = new TraceRecorder();
  for (const [name, at, durationMs] of [
    ["lib", 4, 3000],
    ["app", 9, 5000],
  ] as const) {
    recorder.add({
      v: 1,
      seq: 1,
      buildID: "b",
      time: new Date(1e12 + at * 1000).toISOString(),
      type: "result.finished",
      drvPath: drv(name),
      state: "built",
      status: "success",
      outputs: [],
      durationMs,
      cpuMs: null,
      maxRssBytes: null,
      exitCode: 0,
      signal: null,
      logSize: 0,
      failure: null,
    });
  }
  const { traceEvents } = JSON.parse(JSON.stringify(recorder)) as { traceEvents: Slice[] };
  assert.deepEqual(
    traceEvents
      .filter(({ cat }) => cat === "result")
      .map(({ name, tid, ts, dur }) => [name, tid, ts / 1e6, dur / 1e6]),
    [
      ["lib", 1, 0, 3],
      ["app", 1, 3, 5],
    ],
  );
});
