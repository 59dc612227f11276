/** Builds and results as the HTTP API shows them. */
import { z } from "zod";
import { resultStateOf } from "../build/events.ts";
import type { FoundBuild, InspectedBuild } from "../build/records.ts";
import type { BuildService } from "../build/service.ts";
import type { StorePath } from "../format/store-path.ts";
import type { BuildRow, ResultRow } from "../store/database/builds.ts";
import type { Store } from "../store/store.ts";
import type {
  BuildDetailMessage,
  BuildMessage,
  NoteMessage,
  ReasonMessage,
  ResultMessage,
  RunningMessage,
} from "./api/messages.ts";

export function timeText(time: number): string {
  return new Date(time).toISOString();
}

function optionalTime(time: number | undefined): string | null {
  return time === undefined ? null : timeText(time);
}

export function buildMessage(found: FoundBuild): BuildMessage {
  return { ...rowMessage(found.row, found.counts), note: noteOf(found) };
}

function rowMessage(
  row: BuildRow,
  counts: Readonly<Record<string, number>>,
): Omit<BuildMessage, "note"> {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    user: row.user ?? null,
    startedAt: timeText(row.startedAt),
    endedAt: optionalTime(row.endedAt),
    targets: row.targets.map(({ name, drvPath }) => ({ name, drvPath })),
    counts,
  };
}

/** All that runs now. */
export function runningMessage(builds: BuildService): RunningMessage {
  const all = builds.records.running();
  return {
    builds: all.map((found) => ({
      ...buildMessage(found),
      running: found.results
        .filter(({ state }) => state === "running")
        .map(({ drvPath, name, startedAt }) => ({
          drvPath,
          name,
          startedAt: timeText(startedAt),
          estimateMs: builds.records.estimate(name),
        })),
    })),
    jobs: builds.jobs,
    jobsUsed: builds.jobsUsed,
    waiting: all.reduce((sum, { counts }) => sum + (counts["waiting"] ?? 0), 0),
  };
}

/** Everything about a build. */
export function detailMessage(
  inspected: InspectedBuild,
  found: FoundBuild,
  { store, builds }: { readonly store: Store; readonly builds: BuildService },
): BuildDetailMessage {
  const { row, results, seq } = inspected;
  return {
    ...buildMessage(found),
    results: resultMessages(row, results, { store, builds }),
    seq,
    jobs: builds.jobs,
    failure: row.failure ?? null,
  };
}

export function resultMessages(
  build: BuildRow,
  results: readonly ResultRow[],
  { store, builds }: { readonly store: Store; readonly builds: BuildService },
): ResultMessage[] {
  const known = new Set<StorePath>(results.map(({ drvPath }) => drvPath));
  const targets = new Set<StorePath>(build.targets.map(({ drvPath }) => drvPath));
  return results.map((result) => ({
    ...resultMessage(result, builds),
    isTarget: targets.has(result.drvPath),
    inputs: (store.info(result.drvPath)?.references ?? []).filter(
      (path) => path !== result.drvPath && known.has(path),
    ),
  }));
}

function resultMessage(
  result: ResultRow,
  builds: BuildService,
): Omit<ResultMessage, "inputs" | "isTarget"> {
  const { drvPath, name, startedAt, endedAt } = result;
  const state = resultStateOf(result.state);
  const isStarted = state !== "waiting" && state !== "skipped";
  const isOpen = state === "waiting" || state === "running" || state === "substituting";
  return {
    drvPath,
    name,
    state,
    reason: reasonMessage(result.reason),
    startedAt: isStarted ? timeText(startedAt) : null,
    endedAt: optionalTime(endedAt),
    durationMs: isStarted && endedAt !== undefined ? Math.max(0, endedAt - startedAt) : null,
    estimateMs: isOpen ? builds.records.estimate(name) : null,
    outputs: Array.from(result.outputs, ([output, path]) => ({ name: output, path })),
    logSize: result.logSize ?? 0,
    executor: result.executor ?? null,
    isolation: result.isolation ?? null,
    buildUser: result.buildUser ?? null,
    exitCode: result.exitCode ?? null,
    signal: result.signal ?? null,
    failure: result.failure ?? null,
  };
}

const texts = z.array(z.string()).default([]);
/** What the database holds about a reason. */
const reasonDetail = z.object({
  inputs: texts,
  changes: texts,
  paths: texts,
  previous: z.object({ buildID: z.string() }).optional(),
});

function reasonMessage(reason: ResultRow["reason"]): ReasonMessage | null {
  if (reason === undefined) return null;
  const detail = reasonDetail.parse(reason.detail === undefined ? {} : JSON.parse(reason.detail));
  return {
    code: reason.code,
    inputs: detail.inputs,
    changes: detail.changes,
    paths: detail.paths,
    previousBuildID: detail.previous?.buildID ?? null,
  };
}

/** What happened, in words. Undetermined while nothing has. */
function noteOf({ row, headline }: FoundBuild): NoteMessage | null {
  if (row.state === "reused") return plainNote("Nothing to build");
  if (row.state === "interrupted") return plainNote("The daemon stopped during this build");
  if (headline?.failureMessage !== undefined && row.state !== "running") {
    const { name, drvPath, failureMessage } = headline;
    if (row.state === "cancelled") return plainNote(capitalized(failureMessage));
    return { subject: name, drvPath, text: failureMessage };
  }
  if (row.failure !== undefined) return plainNote(capitalized(row.failure));
  const reason = reasonMessage(headline?.reason);
  return reason === null ? null : reasonNote(reason);
}

function reasonNote({ code, inputs, changes }: ReasonMessage): NoteMessage | null {
  switch (code) {
    case "neverRealised":
      return plainNote("No build of these has succeeded before");
    case "inputChanged":
      return { subject: inputs[0] ?? null, drvPath: null, text: "changed" };
    case "derivationChanged":
      return plainNote(`Changed: ${changes.join(", ")}`);
    case "outputMissing":
      return plainNote("An output was missing");
    case "cleanAsked":
      return plainNote("Asked to build all anew");
    case "checkAsked":
      return plainNote("Asked to build again and compare");
    case "incompatibleClosure":
      return plainNote("What was there did not fit together");
    case "untrusted":
      return plainNote("What was there is not trusted");
    default:
      return null;
  }
}

function plainNote(text: string): NoteMessage {
  return { subject: null, drvPath: null, text };
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
