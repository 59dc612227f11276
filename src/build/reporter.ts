/** Tells the events of one build. */
import type { BuildRow, ResultRow } from "../store/database/builds.ts";
import type { StorePath } from "../format/store-path.ts";
import { compareBytes } from "../util/byte-string.ts";
import type { Build } from "./build.ts";
import {
  type Action,
  type BuildEventBody,
  buildStateOf,
  type FailureKind,
  type LogEnd,
  resultStateOf,
  wireStatus,
} from "./events.ts";
import { type Forecast, forecastOf, type ForecastResult } from "./forecast.ts";
import type { Plan } from "./plan.ts";
import type { Result } from "./result.ts";
import { countStates, criticalPath } from "./summary.ts";
import type { Workshop } from "./workshop.ts";

/** Milliseconds between two words about what is running. */
const tickInterval = 10_000;
/** The least milliseconds between two events about the progress of one result. */
const phaseInterval = 200;

export class Reporter {
  readonly #build: Build;
  readonly #shop: Workshop;
  readonly #lastPhases = new Map<StorePath, { readonly phase: string; readonly time: number }>();
  /** What was said to be planned for each derivation. */
  readonly #told = new Map<StorePath, Action>();
  #timer: NodeJS.Timeout | undefined;

  constructor(build: Build, shop: Workshop) {
    this.#build = build;
    this.#shop = shop;
  }

  started(): void {
    const { store, places, executors, mode } = this.#shop;
    const { targets, user } = this.#build.request;
    this.#emit({
      type: "build.started",
      targets,
      storeDir: store.directory,
      mode,
      user: user ?? null,
      jobs: places.max,
      sandbox: executors.sandbox,
    });
    this.#timer = setInterval(() => this.#tick(), tickInterval).unref();
  }

  /** Tells what is going to be done. */
  planned(plan: Plan): void {
    const { results, ...whole } = this.#forecast(plan);
    this.#emit({ type: "build.planned", ...whole });
    for (const result of results) this.#tellPlan(result);
  }

  /** Tells what is new in another plan. */
  replanned(plan: Plan): void {
    for (const result of this.#forecast(plan).results) this.#tellPlan(result);
  }

  #forecast(plan: Plan): Forecast {
    return forecastOf(plan, {
      jobs: this.#shop.places.max,
      estimate: (name) => this.#build.estimate(name),
      reasonFor: ({ node }) => this.#build.results.get(node.drvPath)?.reason ?? null,
    });
  }

  resultStarted(result: Result): void {
    const { drvPath, executor = "", buildUser = null } = result;
    this.#emit({ type: "result.started", drvPath, executor, buildUser });
  }

  phase(
    { drvPath }: Result,
    phase: string,
    amount: { done?: number | undefined; total?: number | undefined; unit?: string | undefined },
  ): void {
    const time = this.#shop.clock.monotonic();
    const last = this.#lastPhases.get(drvPath);
    if (last?.phase === phase && time - last.time < phaseInterval) return;
    this.#lastPhases.set(drvPath, { phase, time });
    const { done = null, total = null, unit = null } = amount;
    this.#emit({ type: "result.phase", drvPath, phase, done, total, unit });
  }

  resultFinished(result: Result, end: LogEnd = noLog): void {
    this.#lastPhases.delete(result.drvPath);
    this.#emit(finishedEvent(result.toRow(), end));
  }

  message(
    level: "debug" | "info" | "warn" | "error",
    said: {
      readonly code: string;
      readonly text: string;
      readonly hint?: string;
      readonly path?: string;
    },
  ): void {
    this.#emit({ type: "message", level, hint: null, path: null, ...said });
  }

  finished(build: BuildRow): void {
    clearInterval(this.#timer);
    this.#emit(buildFinishedEvent(build, this.#build));
  }

  #tick(): void {
    const now = this.#shop.clock.now();
    const results = [...this.#build.results.values()];
    this.#emit({
      type: "tick",
      running: results
        .filter(({ state }) => state === "running")
        .map(({ drvPath, startedAt }) => ({ drvPath, durationMs: Math.max(0, now - startedAt) })),
      waiting: results.filter(({ state }) => state === "waiting").length,
    });
  }

  #tellPlan(result: ForecastResult): void {
    const { drvPath, action } = result;
    if (this.#told.get(drvPath) === action) return;
    this.#told.set(drvPath, action);
    this.#emit({ type: "result.planned", ...result });
  }

  #emit(event: BuildEventBody): void {
    this.#build.events.emit(event);
  }
}

const noLog: LogEnd = { lastLines: [] };

/** How a result ended. */
export function finishedEvent(result: ResultRow, end: LogEnd = noLog): BuildEventBody {
  const { drvPath, startedAt, endedAt = startedAt, failure } = result;
  const state = resultStateOf(result.state);
  return {
    type: "result.finished",
    drvPath,
    state,
    status: wireStatus(state) ?? "unknown",
    outputs: Array.from(result.outputs, ([name, path]) => ({ name, path })),
    durationMs: state === "skipped" ? 0 : Math.max(0, endedAt - startedAt),
    cpuMs: null,
    maxRssBytes: null,
    exitCode: result.exitCode ?? null,
    signal: result.signal ?? null,
    logSize: result.logSize ?? 0,
    failure: failure === undefined ? null : { ...failure, kind: kindOf(failure.kind), ...end },
  };
}

function kindOf(text: string): FailureKind {
  return text === "builder" || text === "input" || text === "limit" ? text : "internal";
}

function buildFinishedEvent(row: BuildRow, { results, request }: Build): BuildEventBody {
  const { nodes } = request.graph;
  const inputsOf = (drvPath: StorePath): Iterable<StorePath> =>
    nodes.get(drvPath)?.derivation.inputDerivations.keys() ?? [];
  return {
    ...endOf(
      row,
      [...results.values()].map((result) => result.toRow()),
    ),
    criticalPath: criticalPath(results, inputsOf),
  };
}

/** How a build ended, but for what led to it. */
export function endOf(
  row: BuildRow,
  results: readonly ResultRow[],
): Extract<BuildEventBody, { readonly type: "build.finished" }> {
  const state = buildStateOf(row.state);
  const outputs = new Map(results.map((result) => [result.drvPath, result.outputs]));
  return {
    type: "build.finished",
    state,
    status: wireStatus(state) ?? "error",
    counts: countStates(results.map((result) => resultStateOf(result.state))),
    durationMs: Math.max(0, (row.endedAt ?? row.startedAt) - row.startedAt),
    criticalPath: [],
    paths: row.targets.flatMap(({ drvPath }) => pathsOf(outputs.get(drvPath))),
  };
}

/** Output paths by output name. */
function pathsOf(outputs: ReadonlyMap<string, StorePath | null> | undefined): StorePath[] {
  return [...(outputs ?? [])]
    .toSorted(([a], [b]) => compareBytes(a, b))
    .flatMap(([, path]) => path ?? []);
}
