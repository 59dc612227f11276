/**
 * What the HTTP API says, in TypeScript. `schemas.ts` checks it and makes the OpenAPI document; the page reads these types.
 *
 * Times are RFC 3339 in UTC with milliseconds, sizes are bytes, durations milliseconds.
 */

export interface TargetMessage {
  /** What the user called it. */
  readonly name: string;
  readonly drvPath: string;
}

/** What happened in a build, in words. */
export interface NoteMessage {
  /** The name of the derivation it is about. */
  readonly subject: string | null;
  readonly drvPath: string | null;
  readonly text: string;
}

export interface BuildMessage {
  readonly id: string;
  readonly kind: "realize" | "expand";
  readonly state: string;
  readonly user: string | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly targets: readonly TargetMessage[];
  /** How many results are in each state. */
  readonly counts: Readonly<Record<string, number>>;
  readonly note: NoteMessage | null;
}

export interface BuildsMessage {
  /** The latest first. */
  readonly builds: readonly BuildMessage[];
  /** All that are known. */
  readonly total: number;
  /** How long builds are kept after their end; null: for ever. */
  readonly retentionMs: number | null;
}

export interface RunningResultMessage {
  readonly drvPath: string;
  readonly name: string;
  readonly startedAt: string;
  readonly estimateMs: number | null;
}

export interface RunningBuildMessage extends BuildMessage {
  readonly running: readonly RunningResultMessage[];
}

/** The event `running`: all that goes on now. */
export interface RunningMessage {
  readonly builds: readonly RunningBuildMessage[];
  /** Builders at the same time, at most. */
  readonly jobs: number;
  readonly jobsUsed: number;
  /** Derivations that wait for an input or for a place. */
  readonly waiting: number;
}

/** The event `finished`. */
export interface FinishedMessage {
  readonly build: BuildMessage;
}

export interface ReasonMessage {
  readonly code: string;
  readonly inputs: readonly string[];
  readonly changes: readonly string[];
  readonly paths: readonly string[];
  /** The build it was compared with. */
  readonly previousBuildID: string | null;
}

export interface OutputMessage {
  readonly name: string;
  /** Null until it is made or found. */
  readonly path: string | null;
}

export interface FailureMessage {
  readonly kind: string;
  readonly code: string;
  readonly message: string;
}

export interface ResultMessage {
  readonly drvPath: string;
  readonly name: string;
  readonly state: string;
  readonly isTarget: boolean;
  readonly reason: ReasonMessage | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly durationMs: number | null;
  /** How long it usually takes; null if it was never built. */
  readonly estimateMs: number | null;
  readonly outputs: readonly OutputMessage[];
  /** Derivations of this build that it takes outputs of. */
  readonly inputs: readonly string[];
  readonly logSize: number;
  readonly executor: string | null;
  readonly isolation: string | null;
  readonly buildUser: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly failure: FailureMessage | null;
}

export interface BuildDetailMessage extends BuildMessage {
  readonly results: readonly ResultMessage[];
  /** Number of the last event that these results know; to be followed from there. */
  readonly seq: number;
  readonly jobs: number;
  /** What went wrong outside of every result. */
  readonly failure: string | null;
}

export interface CauseMessage {
  /** Whether a line looks like an error; otherwise these are only the last ones. */
  readonly isError: boolean;
  readonly lines: readonly { readonly number: number; readonly text: string }[];
}

export interface LogInfoMessage {
  readonly size: number;
  readonly lines: number;
  /** Whether nothing more will be written. */
  readonly finished: boolean;
  /** Whether there is a file: it may have been deleted, or nothing was ever written. */
  readonly present: boolean;
  /** A guess; for results that did not succeed. */
  readonly cause: CauseMessage | null;
}

export interface ResultDetailMessage {
  readonly build: BuildMessage;
  readonly result: ResultMessage;
  readonly log: LogInfoMessage;
}

export interface LogLineMessage {
  /** From 1. */
  readonly number: number;
  readonly text: string;
  /** Where it begins in the log. */
  readonly offset: number;
  readonly length: number;
  /** Whether `text` is only its beginning. */
  readonly cut: boolean;
}

export interface LogLinesMessage {
  readonly lines: readonly LogLineMessage[];
  /** All lines the log has now. */
  readonly total: number;
  readonly size: number;
}

/** The event `grown`: a log has more bytes, or has come to its end. */
export interface LogGrownMessage {
  readonly from: number;
  readonly size: number;
  /** All lines the log has now. */
  readonly lines: number;
  readonly finished: boolean;
  /** The new bytes, if they are few; the line `line` is the one they begin in. */
  readonly text: string | null;
  readonly line: number;
}

export interface LogSearchMessage {
  /** Matches in the whole log. */
  readonly total: number;
  /** Of those, how many are in lines before the first that was asked for. */
  readonly before: number;
  /** The line of each match, ascending; a line with two matches is there twice. */
  readonly lines: readonly number[];
  /** Which of 200 equal parts of the log have matches: 1 or 0. */
  readonly ticks: readonly number[];
}

export interface ListedObjectMessage {
  readonly path: string;
  readonly name: string;
  readonly narSize: number;
  readonly registeredAt: string;
}

export interface ObjectsMessage {
  readonly total: number;
  readonly objects: readonly ListedObjectMessage[];
}

export interface MakerMessage {
  readonly buildID: string;
  readonly drvPath: string;
  readonly name: string;
  readonly output: string;
  readonly state: string;
  readonly endedAt: string | null;
}

export interface ObjectMessage extends ListedObjectMessage {
  readonly narHash: string;
  readonly ca: string | null;
  readonly references: number;
  readonly referrers: number;
  /** Itself and all that it refers to, directly or not. */
  readonly closureCount: number;
  readonly closureSize: number;
  readonly isDerivation: boolean;
  /** Results that have it as an output; the one that made it first. */
  readonly madeBy: readonly MakerMessage[];
}

export interface RelatedObjectMessage {
  readonly path: string;
  readonly name: string;
  readonly narSize: number;
  readonly closureSize: number;
  readonly isItself: boolean;
}

export interface RelatedObjectsMessage {
  readonly total: number;
  /** By size of closure, the largest first. */
  readonly objects: readonly RelatedObjectMessage[];
}

export interface GraphNodeMessage {
  readonly path: string;
  readonly name: string;
  readonly narSize: number;
  /** Objects of this graph that it refers to. */
  readonly references: readonly string[];
}

export interface ClosureMessage {
  /** All objects of the closure. */
  readonly total: number;
  readonly narSize: number;
  /** The object first, then the largest; fewer than `total` when there are many. */
  readonly nodes: readonly GraphNodeMessage[];
}

export interface FileEntryMessage {
  readonly name: string;
  readonly type: "directory" | "regular" | "symlink";
  /** Of a file; else 0. */
  readonly size: number;
  readonly executable: boolean;
  /** Where a link points; it is not followed. */
  readonly target: string | null;
}

export interface FilesMessage extends FileEntryMessage {
  readonly path: string;
  /** What lies in it, by name; null for what is no directory. */
  readonly entries: readonly FileEntryMessage[] | null;
  /** Entries beyond the 10,000 that are told. */
  readonly more: number;
}

export interface DerivationMessage {
  readonly path: string;
  readonly name: string;
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly inputSources: readonly string[];
  readonly inputDerivations: readonly {
    readonly path: string;
    readonly outputs: readonly string[];
  }[];
  readonly outputs: readonly {
    readonly name: string;
    readonly path: string | null;
    readonly hashAlgo: string;
    readonly hash: string | null;
  }[];
  /** When it was built, the latest first; at most ten. */
  readonly realisations: readonly RealisationMessage[];
}

export interface RealisationMessage {
  readonly buildID: string;
  readonly endedAt: string;
  readonly durationMs: number;
  readonly outputs: readonly {
    readonly name: string;
    readonly path: string;
    /** Whether it is in the store. */
    readonly present: boolean;
  }[];
}

export interface NamedAmountMessage {
  readonly name: string;
  readonly count: number;
  readonly narSize: number;
}

export interface PastCollectionMessage {
  readonly endedAt: string;
  readonly durationMs: number;
  /** What it removed. */
  readonly count: number;
  readonly size: number;
}

/** A look at all objects. */
export interface PastVerificationMessage {
  readonly endedAt: string;
  readonly durationMs: number;
  readonly checked: number;
  readonly damaged: number;
}

export interface DiskMessage {
  readonly storeDirectory: string;
  readonly realStoreDirectory: string;
  readonly objects: number;
  readonly narSize: number;
  /** Of the file system the store is on. */
  readonly free: number;
  readonly total: number;
  /** Bytes, as NAR, of all that roots need. */
  readonly heldByRoots: number;
  /** What a collection would remove now. */
  readonly collectableObjects: number;
  readonly collectableSize: number;
  /** Since the daemon began. */
  readonly lastCollection: PastCollectionMessage | null;
  readonly lastVerification: PastVerificationMessage | null;
  readonly largestNames: readonly NamedAmountMessage[];
  readonly largestObjects: readonly ListedObjectMessage[];
}

export interface FindingMessage {
  readonly about: string;
  /** `bad`: something does not work; `weak`: it works, and could be better. */
  readonly state: "good" | "weak" | "bad";
  readonly text: string;
  readonly hint: string | null;
}

export interface HealthMessage {
  readonly version: string;
  readonly node: string;
  readonly system: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly storeDirectory: string;
  readonly mode: "daemon" | "embedded";
  readonly isolation: string;
  readonly jobs: number;
  readonly jobsUsed: number;
  readonly runningBuilds: number;
  readonly waiting: number;
  readonly memory: number;
  readonly findings: readonly FindingMessage[];
  /** Whether changes are possible with a token. */
  readonly administrable: boolean;
}

export interface RootMessage {
  /** A name that somebody gave, or the path of a link. */
  readonly name: string;
  readonly kind: "name" | "link";
  readonly path: string;
  readonly user: string | null;
  readonly createdAt: string;
  readonly closureCount: number;
  readonly closureSize: number;
  /** What a collection would free if this root went away, others staying. */
  readonly onlyHere: number;
}

export interface RootsMessage {
  /** What they alone hold: the most first. */
  readonly roots: readonly RootMessage[];
}

/** What a collection removed, or would remove. */
export interface CollectedMessage {
  readonly count: number;
  readonly size: number;
  /** Of these, at most 1,000: the least recently used first. */
  readonly objects: readonly {
    readonly path: string;
    readonly name: string;
    readonly narSize: number;
  }[];
  /** Objects that no root needs, kept because they were used lately. */
  readonly recent: number;
  readonly leftCount: number;
  readonly leftSize: number;
}

export interface DeletedMessage {
  readonly deleted: readonly string[];
}

/** Why a request was not answered. */
export interface ErrorMessage {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}
