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
  resultStateOf,
  wireStatus,
} from "./events.ts";
import type { Plan, PlannedDerivation } from "./plan.ts";
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
    const counts = { reuse: 0, substitute: 0, build: 0 };
    const estimates = new Map<StorePath, number | null>();
    for (const [drvPath, planned] of plan) {
      const action = actionOf(planned);
      if (action === undefined) continue;
      counts[action]++;
      if (action === "build") {
        estimates.set(drvPath, this.#build.estimate(planned.node.derivation.name));
      }
    }
    const estimateMs = estimateAll(plan, estimates, this.#shop.places.max);
    this.#emit({ type: "build.planned", counts, downloadSize: 0, estimateMs });
    for (const [drvPath, planned] of plan) this.#tellPlan(planned, estimates.get(drvPath) ?? null);
  }

  /** Tells what is new in another plan. */
  replanned(plan: Plan): void {
    for (const planned of plan.values()) this.#tellPlan(planned, null);
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

  resultFinished(result: Result, lastLines: readonly string[] = []): void {
    this.#lastPhases.delete(result.drvPath);
    this.#emit(finishedEvent(result.toRow(), lastLines));
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

  #tellPlan(planned: PlannedDerivation, estimateMs: number | null): void {
    const { drvPath, derivation } = planned.node;
    const action = actionOf(planned);
    if (action === undefined || this.#told.get(drvPath) === action) return;
    this.#told.set(drvPath, action);
    this.#emit({
      type: "result.planned",
      drvPath,
      name: derivation.name,
      action,
      inputs: [...derivation.inputDerivations.keys()],
      reason: action === "build" ? (this.#build.results.get(drvPath)?.reason ?? null) : null,
      estimateMs,
    });
  }

  #emit(event: BuildEventBody): void {
    this.#build.events.emit(event);
  }
}

/** What people are told of a plan; nothing of what is neither needed nor there, and of what is over. */
function actionOf({ action, isPresent }: PlannedDerivation): "reuse" | "build" | undefined {
  if (action === "done") return undefined;
  if (action === "none") return isPresent ? "reuse" : undefined;
  return action;
}

/** How a result ended. */
export function finishedEvent(result: ResultRow, lastLines: readonly string[]): BuildEventBody {
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
    failure: failure === undefined ? null : { ...failure, kind: kindOf(failure.kind), lastLines },
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

/**
 * About how long a plan takes: the longest chain, or all work spread over the places, whichever is longer. Null when something was
 * never built before.
 */
function estimateAll(
  plan: Plan,
  estimates: ReadonlyMap<StorePath, number | null>,
  places: number,
): number | null {
  const ends = new Map<StorePath, number>();
  let sum = 0;
  let longest = 0;
  for (const [drvPath, { waitsFor }] of plan) {
    const own = estimates.get(drvPath) ?? (estimates.has(drvPath) ? undefined : 0);
    if (own === undefined) return null;
    const start = Math.max(0, ...Array.from(waitsFor, (input) => ends.get(input) ?? 0));
    ends.set(drvPath, start + own);
    sum += own;
    longest = Math.max(longest, start + own);
  }
  return Math.round(Math.max(longest, sum / places));
}
