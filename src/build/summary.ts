/** What a build comes to, from its results. */
import type { StorePath } from "../format/store-path.ts";
import type { BuildState, ResultState, StateCounts } from "./events.ts";

/** What is looked at of a result. */
export interface Outcome {
  readonly drvPath: StorePath;
  readonly state: ResultState;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  readonly endedAt: number | undefined;
}

/** From worst to best: a build has the first of these that one of its results has. */
const ranking: readonly [ResultState, BuildState][] = [
  ["error", "error"],
  ["interrupted", "interrupted"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
  ["built", "built"],
  ["substituted", "substituted"],
];

export function worstOf(states: Iterable<ResultState>): BuildState {
  const all = new Set(states);
  return ranking.find(([state]) => all.has(state))?.[1] ?? "reused";
}

export function countStates(states: Iterable<ResultState>): StateCounts {
  const counts: { [state in ResultState]?: number } = {};
  for (const state of states) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/**
 * The chain of results that decided when the build ended: back from the one that ended last, each time through the input that
 * ended last. What was reused took no time and is left out.
 */
export function criticalPath(
  results: ReadonlyMap<StorePath, Outcome>,
  inputsOf: (drvPath: StorePath) => Iterable<StorePath>,
): { drvPath: StorePath; durationMs: number }[] {
  const path: { drvPath: StorePath; durationMs: number }[] = [];
  let last = latest(results.values());
  while (last !== undefined) {
    const { drvPath, startedAt, endedAt = startedAt } = last;
    path.push({ drvPath, durationMs: Math.max(0, endedAt - startedAt) });
    last = latest(Array.from(inputsOf(drvPath), (input) => results.get(input)));
  }
  return path.toReversed();
}

function latest(results: Iterable<Outcome | undefined>): Outcome | undefined {
  let last: Outcome | undefined;
  for (const result of results) {
    if (result === undefined || !tookTime(result)) continue;
    if (last === undefined || (result.endedAt ?? 0) > (last.endedAt ?? 0)) last = result;
  }
  return last;
}

function tookTime({ state, endedAt }: Outcome): boolean {
  return endedAt !== undefined && state !== "reused" && state !== "skipped" && state !== "waiting";
}

/** The middle one of some durations, in milliseconds; null for none. */
export function median(durations: readonly number[]): number | null {
  const sorted = durations.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}
