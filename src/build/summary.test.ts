import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import type { BuildState, ResultState } from "./events.ts";
import { countStates, criticalPath, median, type Outcome, worstOf } from "./summary.ts";

const worst: [states: ResultState[], state: BuildState][] = [
  [[], "reused"],
  [["reused"], "reused"],
  [["reused", "built"], "built"],
  [["built", "skipped", "failed"], "failed"],
  [["failed", "cancelled"], "failed"],
  [["cancelled", "built"], "cancelled"],
  [["failed", "error"], "error"],
  [["interrupted", "failed"], "interrupted"],
];
for (const [states, state] of worst) {
  test(`a build of ${states.join(", ") || "nothing"} is ${state}`, () => {
    assert.equal(worstOf(states), state);
  });
}

test("states are counted", () => {
  assert.deepEqual(countStates(["built", "reused", "built"]), { built: 2, reused: 1 });
});

const path = (name: string): StorePath => parseStorePath(`/s/${"0".repeat(32)}-${name}.drv`);
const outcome = (
  name: string,
  startedAt: number,
  endedAt: number,
  state: ResultState = "built",
): [StorePath, Outcome] => [path(name), { drvPath: path(name), state, startedAt, endedAt }];

test("the critical path leads back through the inputs that ended last", () => {
  const results = new Map([
    outcome("old", 0, 0, "reused"),
    outcome("a", 0, 10),
    outcome("b", 0, 30),
    outcome("c", 30, 50),
    outcome("d", 50, 80, "failed"),
    outcome("e", 50, 60),
    outcome("f", 90, 90, "skipped"),
  ]);
  const inputs = new Map([
    [path("d"), [path("c"), path("old")]],
    [path("c"), [path("a"), path("b")]],
    [path("b"), [path("old")]],
  ]);
  assert.deepEqual(
    criticalPath(results, (drvPath) => inputs.get(drvPath) ?? []),
    [
      { drvPath: path("b"), durationMs: 30 },
      { drvPath: path("c"), durationMs: 20 },
      { drvPath: path("d"), durationMs: 30 },
    ],
  );
});

test("where nothing took time there is no critical path", () => {
  assert.deepEqual(
    criticalPath(new Map([outcome("a", 0, 0, "reused")]), () => []),
    [],
  );
});

test("the median is one of the durations", () => {
  assert.equal(median([]), null);
  assert.equal(median([5]), 5);
  assert.equal(median([9, 1]), 1);
  assert.equal(median([30, 10, 20]), 20);
});
