/** What decides when a build ends. */
import type { LiveResult } from "./live-build.ts";

/**
 * The chain of results that decided, or will decide, when the build ends: back from the one that ends last, each time through the input
 * that ended last. What took no time is left out. First to last.
 */
export function criticalPath(
  results: ReadonlyMap<string, LiveResult>,
  now: number,
): readonly LiveResult[] {
  const path: LiveResult[] = [];
  const seen = new Set<string>();
  let last = latest(results.values(), now);
  while (last !== undefined && !seen.has(last.drvPath)) {
    path.push(last);
    seen.add(last.drvPath);
    const inputs = last.inputs.flatMap((input) => results.get(input) ?? []);
    last = latest(inputs, now);
  }
  return path.toReversed();
}

function latest(results: Iterable<LiveResult>, now: number): LiveResult | undefined {
  let last: LiveResult | undefined;
  let lastEnd = -Infinity;
  for (const result of results) {
    const end = endOf(result, now);
    if (end === undefined || end <= lastEnd) continue;
    [last, lastEnd] = [result, end];
  }
  return last;
}

/** When it ended or is likely to; undefined for what took no time. */
function endOf(result: LiveResult, now: number): number | undefined {
  const { state, startedAt, endedAt, estimateMs } = result;
  if (state === "reused" || state === "skipped") return undefined;
  if (endedAt !== null) return Date.parse(endedAt);
  if (startedAt === null) return undefined;
  return Math.max(now, Date.parse(startedAt) + (estimateMs ?? 0));
}

/** How long a result took, or has taken so far, in milliseconds. */
export function timeOf({ startedAt, endedAt, durationMs }: LiveResult, now: number): number {
  if (durationMs !== null) return durationMs;
  if (startedAt === null) return 0;
  return Math.max(0, (endedAt === null ? now : Date.parse(endedAt)) - Date.parse(startedAt));
}
