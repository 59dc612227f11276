/** A build as it goes on: what the API said of it, and every event since. */
import type { BuildDetailMessage, FailureMessage, OutputMessage, ResultMessage } from "../api.ts";

/** A result with what is only known while it runs. */
export interface LiveResult extends ResultMessage {
  readonly phase?: string;
  /** The newest lines of its log. */
  readonly lastLines?: readonly string[];
}

export interface LiveBuild extends Omit<BuildDetailMessage, "results"> {
  readonly results: ReadonlyMap<string, LiveResult>;
  /** Whether events were missed, so that all has to be asked for again. */
  readonly isStale: boolean;
}

export function liveBuild(detail: BuildDetailMessage): LiveBuild {
  return {
    ...detail,
    results: new Map(detail.results.map((result) => [result.drvPath, result])),
    isStale: false,
  };
}

interface Common {
  readonly seq: number;
  readonly time: string;
  readonly drvPath: string;
}

/** The events that change what is shown; see docs/events.md. */
export type BuildEvent = Common &
  (
    | {
        readonly type: "result.planned";
        readonly name: string;
        readonly action: string;
        readonly inputs: readonly string[];
        readonly estimateMs: number | null;
        readonly reason: {
          readonly code: string;
          readonly detail?: Partial<NonNullable<ResultMessage["reason"]>>;
        } | null;
      }
    | {
        readonly type: "result.started";
        readonly executor: string;
        readonly buildUser: string | null;
      }
    | {
        readonly type: "result.phase";
        readonly phase: string;
        readonly done: number | null;
        readonly total: number | null;
        readonly unit: string | null;
      }
    | { readonly type: "log"; readonly offset: number; readonly text?: string }
    | {
        readonly type: "result.finished";
        readonly state: string;
        readonly outputs: readonly OutputMessage[];
        readonly durationMs: number;
        readonly exitCode: number | null;
        readonly signal: string | null;
        readonly logSize: number;
        readonly failure: FailureMessage | null;
      }
    | { readonly type: "build.finished"; readonly state: string }
    | { readonly type: "dropped" }
  );

/** Those of a result; others that a build has do not change what is shown. */
const ofResults: ReadonlySet<string> = new Set([
  "result.planned",
  "result.started",
  "result.phase",
  "result.finished",
  "log",
]);

/** Lines of a running builder that are shown. */
const shownLines = 6;

/** The build after some events. */
export function after(build: LiveBuild, events: readonly BuildEvent[]): LiveBuild {
  const results = new Map(build.results);
  let { state, endedAt, isStale, seq } = build;
  for (const event of events) {
    if (event.type !== "log" && event.seq <= build.seq) continue;
    seq = Math.max(seq, event.seq);
    if (event.type === "build.finished") {
      state = event.state;
      endedAt = event.time;
    } else if (event.type === "dropped") {
      isStale = true;
    } else if (ofResults.has(event.type)) {
      const result = resultAfter(results.get(event.drvPath), event, build);
      if (result !== undefined) results.set(event.drvPath, result);
    }
  }
  return { ...build, results, state, endedAt, isStale, seq, counts: countsOf(results.values()) };
}

function countsOf(results: Iterable<LiveResult>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state } of results) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

function resultAfter(
  before: LiveResult | undefined,
  event: Exclude<BuildEvent, { type: "build.finished" | "dropped" }>,
  build: LiveBuild,
): LiveResult | undefined {
  if (event.type === "result.planned") {
    const { name, inputs, estimateMs, reason } = event;
    const planned = before ?? unknownResult(event.drvPath, build);
    const detail = reason?.detail ?? {};
    return {
      ...planned,
      name,
      inputs,
      estimateMs,
      reason:
        reason === null
          ? null
          : {
              code: reason.code,
              inputs: detail.inputs ?? [],
              changes: detail.changes ?? [],
              paths: detail.paths ?? [],
              previousBuildID: null,
            },
    };
  }
  return stateAfter(before ?? unknownResult(event.drvPath, build), event);
}

function stateAfter(
  known: LiveResult,
  event: Exclude<BuildEvent, { type: "build.finished" | "dropped" | "result.planned" }>,
): LiveResult {
  switch (event.type) {
    case "result.started": {
      const { time: startedAt, executor, buildUser } = event;
      return { ...known, state: "running", startedAt, executor, buildUser };
    }
    case "result.phase": {
      const { phase, done, total, unit } = event;
      const amount =
        done === null ? "" : ` ${done}${total === null ? "" : `/${total}`} ${unit ?? ""}`;
      return { ...known, phase: `${phase}${amount}`.trim() };
    }
    case "log": {
      const added = (event.text ?? "").split("\n").filter((line) => line.trim() !== "");
      const lastLines = [...(known.lastLines ?? []), ...added].slice(-shownLines);
      const logSize = Math.max(known.logSize, event.offset + (event.text ?? "").length);
      return { ...known, lastLines, logSize };
    }
    case "result.finished":
    default: {
      const { state, outputs, durationMs, exitCode, signal, logSize, failure, time } = event;
      const startedAt = known.startedAt ?? (state === "skipped" ? null : time);
      return {
        ...known,
        state,
        outputs,
        durationMs: state === "skipped" ? null : durationMs,
        exitCode,
        signal,
        logSize,
        failure,
        startedAt,
        endedAt: time,
      };
    }
  }
}

function unknownResult(drvPath: string, build: LiveBuild): LiveResult {
  return {
    drvPath,
    name: drvPath.slice(drvPath.lastIndexOf("/") + 34).replace(/\.drv$/, ""),
    state: "waiting",
    isTarget: build.targets.some((target) => target.drvPath === drvPath),
    reason: null,
    startedAt: null,
    endedAt: null,
    durationMs: null,
    estimateMs: null,
    outputs: [],
    inputs: [],
    logSize: 0,
    executor: null,
    isolation: null,
    buildUser: null,
    exitCode: null,
    signal: null,
    failure: null,
  };
}
