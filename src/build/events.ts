/**
 * Everything that happens in a build, once, as typed events. Progress, JSON output, the page, metrics and traces are
 * readers of this stream; fields are only ever added.
 */
import type { StorePath } from "../format/store-path.ts";

/** What people are told about one derivation of a build. On the wire these are zb's four words, see `wireStatus`. */
export type ResultState =
  | "waiting"
  | "substituting"
  | "running"
  | "built"
  | "substituted"
  | "reused"
  | "failed"
  | "error"
  | "cancelled"
  | "skipped"
  | "interrupted";

/** What people are told about a whole build: the worst state among its results. */
export type BuildState =
  | "running"
  | "built"
  | "substituted"
  | "reused"
  | "failed"
  | "error"
  | "cancelled"
  | "interrupted";

/** zb's words for a build or a result. */
export type WireStatus = "unknown" | "active" | "success" | "fail" | "error";

export type Action = "reuse" | "substitute" | "build";

export type ReasonCode =
  | "neverRealised"
  | "inputChanged"
  | "derivationChanged"
  | "outputMissing"
  | "cleanAsked"
  | "checkAsked"
  | "incompatibleClosure"
  | "untrusted";

/** Why a derivation is built although something may have been there before. */
export interface Reason {
  readonly code: ReasonCode;
  readonly detail?: ReasonDetail;
}

export interface ReasonDetail {
  /** Names of inputs that differ from last time, or have to be built first. */
  readonly inputs?: readonly string[];
  /** Sources among those inputs: the objects that they were and are. */
  readonly sources?: readonly ChangedSource[];
  /** Members of the derivation that differ: `env.CFLAGS`, `builder`, `args`. */
  readonly changes?: readonly string[];
  /** What it was compared with. */
  readonly previous?: { readonly buildID: string; readonly drvPath: StorePath };
  /** Output paths the reason is about: those that are missing, incompatible or untrusted. */
  readonly paths?: readonly StorePath[];
}

export interface ChangedSource {
  readonly name: string;
  readonly was: StorePath;
  readonly is: StorePath;
}

/** Whose fault a failure is: the derivation's, its inputs', a limit's, or Kiln's and the machine's. */
export type FailureKind = "builder" | "input" | "limit" | "internal";

export interface Failure {
  readonly kind: FailureKind;
  /** Stable, dotted: `builder.exit`, `builder.signal`, `output.missing`, `fixed.hash`. */
  readonly code: string;
  readonly message: string;
}

/** What is told of the log of a failure. */
export interface LogEnd {
  /** The line that looks like an error, where it comes before the last ones; its number is from 1. */
  readonly cause?: { readonly number: number; readonly text: string };
  readonly lastLines: readonly string[];
}

export interface BuildTarget {
  /** What the user called it; the derivation's name if nothing was given. */
  readonly name: string;
  readonly drvPath: StorePath;
}

export interface OutputPath {
  readonly name: string;
  readonly path: StorePath | null;
}

export interface PlanCounts {
  readonly reuse: number;
  readonly substitute: number;
  readonly build: number;
}

/** How many results ended, or are, in each state; states that do not occur are absent. */
export type StateCounts = { readonly [state in ResultState]?: number };

export type BuildEventBody =
  | {
      readonly type: "build.started";
      readonly targets: readonly BuildTarget[];
      readonly storeDir: string;
      readonly mode: "daemon" | "embedded";
      readonly user: string | null;
      readonly jobs: number;
      readonly sandbox: string;
    }
  | {
      readonly type: "build.planned";
      readonly counts: PlanCounts;
      readonly downloadSize: number;
      readonly estimateMs: number | null;
    }
  | {
      readonly type: "result.planned";
      readonly drvPath: StorePath;
      readonly name: string;
      readonly action: Action;
      /** Derivations of this build it takes outputs of. */
      readonly inputs: readonly StorePath[];
      /** Absent for what is reused. */
      readonly reason: Reason | null;
      readonly estimateMs: number | null;
    }
  | {
      readonly type: "result.started";
      readonly drvPath: StorePath;
      readonly executor: string;
      readonly buildUser: string | null;
    }
  | {
      readonly type: "result.phase";
      readonly drvPath: StorePath;
      readonly phase: string;
      readonly done: number | null;
      readonly total: number | null;
      readonly unit: string | null;
    }
  | {
      readonly type: "log";
      readonly drvPath: StorePath;
      readonly offset: number;
      readonly text?: string;
      readonly base64?: string;
    }
  | {
      readonly type: "object.substituted";
      readonly path: StorePath;
      readonly from: string;
      readonly downloadSize: number;
      readonly narSize: number;
      readonly durationMs: number;
    }
  | {
      readonly type: "object.added";
      readonly path: StorePath;
      readonly narHash: string;
      readonly narSize: number;
      readonly ca: string | null;
      readonly how: "built" | "imported" | "substituted";
    }
  | {
      readonly type: "result.finished";
      readonly drvPath: StorePath;
      readonly state: ResultState;
      readonly status: WireStatus;
      readonly outputs: readonly OutputPath[];
      readonly durationMs: number;
      readonly cpuMs: number | null;
      readonly maxRssBytes: number | null;
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly logSize: number;
      readonly failure: (Failure & LogEnd) | null;
    }
  | {
      readonly type: "build.finished";
      readonly state: BuildState;
      readonly status: WireStatus;
      readonly counts: StateCounts;
      readonly durationMs: number;
      /** From the first to the last of the chain of results that decided when the build ended. */
      readonly criticalPath: readonly {
        readonly drvPath: StorePath;
        readonly durationMs: number;
      }[];
      /** Output paths of the targets, in the requested order, then by output name. */
      readonly paths: readonly StorePath[];
    }
  | {
      readonly type: "tick";
      readonly running: readonly { readonly drvPath: StorePath; readonly durationMs: number }[];
      readonly waiting: number;
    }
  | {
      readonly type: "message";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly code: string;
      readonly text: string;
      readonly hint: string | null;
      readonly path: string | null;
    }
  | { readonly type: "dropped"; readonly count: number };

/** Members every event has. */
export interface EventHeader {
  readonly v: 1;
  /** Counts the events of a build from 1. */
  readonly seq: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly buildID: string;
}

export type BuildEvent = EventHeader & BuildEventBody;

export type BuildEventType = BuildEvent["type"];

const words: Readonly<Record<ResultState, WireStatus | undefined>> = {
  waiting: undefined,
  skipped: undefined,
  running: "active",
  substituting: "active",
  built: "success",
  substituted: "success",
  reused: "success",
  failed: "fail",
  error: "error",
  cancelled: "error",
  interrupted: "error",
};

/** zb's word for a state; undefined for results that zb would not show at all. */
export function wireStatus(state: ResultState | BuildState): WireStatus | undefined {
  return words[state];
}

/** A result's state from the database; one that this version does not know is an error. */
export function resultStateOf(text: string): ResultState {
  return isResultState(text) ? text : "error";
}

/** A build's state from the database. */
export function buildStateOf(text: string): BuildState {
  const state = resultStateOf(text);
  return state === "waiting" || state === "skipped" || state === "substituting" ? "error" : state;
}

function isResultState(text: string): text is ResultState {
  return Object.hasOwn(words, text);
}
