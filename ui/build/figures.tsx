/** What a build is about in a few figures: what it still takes, what it spends its time on, and why. */
import type { ReactElement } from "react";
import { duration, elapsed } from "../format.ts";
import { Figure } from "../parts/bits.tsx";
import { timeOf } from "./critical-path.ts";
import type { LiveBuild, LiveResult } from "./live-build.ts";

export function Left(props: {
  build: LiveBuild;
  path: readonly LiveResult[];
  now: number;
}): ReactElement | null {
  const { build, now } = props;
  // The longest chain of what is open.
  const ends = new Map<string, number | null>();
  const endOf = (drvPath: string): number | null => {
    const known = ends.get(drvPath);
    if (known !== undefined) return known;
    ends.set(drvPath, 0);
    const result = build.results.get(drvPath);
    if (result === undefined || result.endedAt !== null) return 0;
    let end: number | null = 0;
    for (const input of result.inputs) {
      const before = endOf(input);
      end = before === null || end === null ? null : Math.max(end, before);
    }
    const own = result.estimateMs;
    const spent = result.state === "running" ? timeOf(result, now) : 0;
    end = own === null || end === null ? null : end + Math.max(0, own - spent);
    ends.set(drvPath, end);
    return end;
  };
  let left: number | null = 0;
  for (const drvPath of build.results.keys()) {
    const end = endOf(drvPath);
    left = end === null || left === null ? null : Math.max(left, end);
  }
  if (left === null || left === 0) return null;
  return <Figure label="Left" value={`about ${elapsed(left)}`} note="from earlier builds" />;
}

export function CriticalPathFigure(props: {
  build: LiveBuild;
  path: readonly LiveResult[];
  now: number;
}): ReactElement | null {
  const { build, path, now } = props;
  if (path.length === 0) return null;
  return (
    <Figure label="Critical path" value={pathText(path)} note={criticalNote(path, build, now)} />
  );
}

function pathText(path: readonly LiveResult[]): string {
  const names = path.map(({ name }) => name);
  return names.length <= 5 ? names.join(" › ") : `${names[0]} › … › ${names.slice(-3).join(" › ")}`;
}

function criticalNote(path: readonly LiveResult[], build: LiveBuild, now: number): string {
  const onPath = path.reduce((sum, result) => sum + timeOf(result, now), 0);
  const end = build.endedAt === null ? now : Date.parse(build.endedAt);
  const all = Math.max(1, end - Date.parse(build.startedAt));
  const text = `${duration(onPath)} of ${duration(all)}`;
  return onPath / all > 0.9 ? `${text}: more jobs would not help` : text;
}

export function WhyFigure({
  results,
  build,
}: {
  results: readonly LiveResult[];
  build: LiveBuild;
}): ReactElement | null {
  const reasons = results.flatMap(({ reason, name }) =>
    reason === null ? [] : [{ reason, name }],
  );
  if (reasons.length === 0) {
    return build.state === "reused" ? <Figure label="Why" value="Nothing to build" /> : null;
  }
  const changed = reasons.find(({ reason }) => reason.code === "derivationChanged");
  if (changed !== undefined) {
    return (
      <Figure
        label="Why"
        value={`${changed.name} changed`}
        note={changed.reason.changes.slice(0, 3).join(", ")}
      />
    );
  }
  const input = reasons.find(({ reason }) => reason.code === "inputChanged")?.reason.inputs[0];
  if (input !== undefined) return <Figure label="Why" value={`${input} changed`} />;
  const isNew = reasons.every(({ reason }) => reason.code === "neverRealised");
  return (
    <Figure
      label="Why"
      value={isNew ? "None succeeded before" : `${reasons.length} to build anew`}
    />
  );
}
