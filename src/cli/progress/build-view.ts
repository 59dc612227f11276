/**
 * What is known of a build, put together from its events: the one model that every way of showing progress reads.
 */
import type {
  Action,
  BuildEvent,
  BuildState,
  BuildTarget,
  Failure,
  LogEnd,
  OutputPath,
  PlanCounts,
  Reason,
  ResultState,
} from "../../build/events.ts";
import { stringToBytes } from "../../util/byte-string.ts";
import { LineReader } from "./terminal-text.ts";

export interface ResultFailure extends Failure, LogEnd {}

/** One derivation of the build. */
export interface ResultView {
  readonly drvPath: string;
  name: string;
  state: ResultState;
  action: Action | undefined;
  inputs: readonly string[];
  reason: Reason | null;
  estimateMs: number | null;
  /** Wall-clock time of the start, in milliseconds. */
  startedAt: number | undefined;
  durationMs: number;
  phase: string | undefined;
  /** The newest line its builder wrote, raw. */
  lastLine: string;
  outputs: readonly OutputPath[];
  logSize: number;
  failure: ResultFailure | null;
}

const openStates: ReadonlySet<ResultState> = new Set(["waiting", "substituting", "running"]);

export function isOpen(result: ResultView): boolean {
  return openStates.has(result.state);
}

export class BuildView {
  buildID = "";
  startedAt = 0;
  targets: readonly BuildTarget[] = [];
  plan: PlanCounts | undefined;
  estimateMs: number | null = null;
  /** In the order they were planned. */
  readonly results: Map<string, ResultView> = new Map();
  state: BuildState = "running";
  durationMs = 0;
  criticalPath: readonly { readonly drvPath: string; readonly durationMs: number }[] = [];
  /** Output paths of the targets; set when the build has ended. */
  paths: readonly string[] = [];
  finished = false;
  readonly #readers = new Map<string, LineReader>();

  /** Takes an event in; gives the whole lines a builder wrote with it. */
  apply(event: BuildEvent): string[] {
    this.buildID = event.buildID; // of one that only the database knows, there are but the last
    switch (event.type) {
      case "build.started":
        this.startedAt = Date.parse(event.time);
        this.targets = event.targets;
        break;
      case "build.planned":
        this.plan = event.counts;
        this.estimateMs = event.estimateMs;
        break;
      case "result.planned": {
        const result = this.#result(event.drvPath);
        result.name = event.name;
        result.action = event.action;
        result.inputs = event.inputs;
        result.reason = event.reason;
        result.estimateMs = event.estimateMs;
        break;
      }
      case "result.started": {
        const result = this.#result(event.drvPath);
        result.state = result.action === "substitute" ? "substituting" : "running";
        result.startedAt = Date.parse(event.time);
        break;
      }
      case "result.phase":
        this.#result(event.drvPath).phase = phaseText(event);
        break;
      case "log":
        return this.#log(event.drvPath, event.text, event.base64);
      case "result.finished": {
        const result = this.#result(event.drvPath);
        result.state = event.state;
        result.outputs = event.outputs;
        result.durationMs = event.durationMs;
        result.logSize = event.logSize;
        result.failure = event.failure;
        const reader = this.#readers.get(event.drvPath);
        this.#readers.delete(event.drvPath);
        return reader?.end() ?? [];
      }
      case "build.finished":
        this.state = event.state;
        this.durationMs = event.durationMs;
        this.criticalPath = event.criticalPath;
        this.paths = event.paths;
        this.finished = true;
        break;
      case "object.substituted":
      case "object.added":
      case "tick":
      case "message":
      case "dropped":
        break;
    }
    return [];
  }

  result(drvPath: string): ResultView | undefined {
    return this.results.get(drvPath);
  }

  nameOf(drvPath: string): string {
    return this.results.get(drvPath)?.name ?? nameFromPath(drvPath);
  }

  inState(...states: readonly ResultState[]): ResultView[] {
    return [...this.results.values()].filter((result) => states.includes(result.state));
  }

  /** How many results there will be, and how many have ended. */
  progress(): { done: number; total: number } {
    const plan = this.plan;
    const planned = plan === undefined ? 0 : plan.reuse + plan.substitute + plan.build;
    const done = [...this.results.values()].filter((result) => !isOpen(result)).length;
    // What is reused may be counted in the plan without an event of its own.
    const silent = Math.max(0, planned - this.results.size);
    return { done: done + silent, total: Math.max(planned, this.results.size) };
  }

  #result(drvPath: string): ResultView {
    let result = this.results.get(drvPath);
    if (result === undefined) {
      result = {
        drvPath,
        name: this.targets.find((t) => t.drvPath === drvPath)?.name ?? nameFromPath(drvPath),
        state: "waiting",
        action: undefined,
        inputs: [],
        reason: null,
        estimateMs: null,
        startedAt: undefined,
        durationMs: 0,
        phase: undefined,
        lastLine: "",
        outputs: [],
        logSize: 0,
        failure: null,
      };
      this.results.set(drvPath, result);
    }
    return result;
  }

  #log(drvPath: string, text: string | undefined, base64: string | undefined): string[] {
    const result = this.#result(drvPath);
    let reader = this.#readers.get(drvPath);
    if (reader === undefined) {
      reader = new LineReader();
      this.#readers.set(drvPath, reader);
    }
    const bytes = text === undefined ? Buffer.from(base64 ?? "", "base64") : stringToBytes(text);
    const lines = reader.push(bytes);
    const last = [...lines, reader.partial].findLast((line) => line.trim() !== "");
    if (last !== undefined) result.lastLine = last;
    return lines;
  }
}

function phaseText(event: Extract<BuildEvent, { type: "result.phase" }>): string {
  const { phase, done, total, unit } = event;
  if (done === null) return phase;
  const amount = (value: number): string => (unit === "B" ? bytes(value) : String(value));
  const suffix = unit === null || unit === "B" ? "" : ` ${unit}`;
  return total === null
    ? `${phase} ${amount(done)}${suffix}`
    : `${phase} ${amount(done)} of ${amount(total)}${suffix}`;
}

function bytes(value: number): string {
  return value < 1024 * 1024
    ? `${Math.ceil(value / 1024)} KiB`
    : `${Math.round(value / 1024 / 1024)} MiB`;
}

/** `app` from `/opt/zb/store/<digest>-app.drv`. */
export function nameFromPath(drvPath: string): string {
  return drvPath.slice(drvPath.lastIndexOf("/") + 34).replace(/\.drv$/, "");
}
