/**
 * The seam between deciding a build and running one: an expanded derivation goes in, how its builder ended comes out.
 *
 * A plain child process, the built-in builders, a sandbox and a remote worker are all executors. Whatever an executor
 * starts is gone when `run` settles: no process of the build lives on, so nobody writes to the outputs any more.
 */
import type { Derivation } from "../format/derivation/derivation.ts";
import type { StorePath } from "../format/store-path.ts";
import type { Limiter } from "../util/limiter.ts";

/** Where a builder's words go. `write` keeps the bytes before it returns; the chunk may be used again afterwards. */
export interface LogSink {
  write(chunk: Uint8Array): void;
}

export interface BuildOutput {
  /** The path the builder knows it by: `$out`. Temporary for floating outputs, final for fixed ones. */
  readonly logical: StorePath;
  /**
   * Where it must lie on this machine when `run` settles, if the builder made it. Absent before; its parent directory exists,
   * is private, and is on the store's file system.
   */
  readonly real: string;
}

/** Who a builder runs as. */
export interface BuildUser {
  readonly uid: number;
  readonly gid: number;
}

/** For builders that run, and who asks for one: see {@link Limiter.acquire}. */
export interface RunningPlaces {
  readonly limiter: Limiter;
  readonly names: readonly string[];
  /** Whether it may be one of those that whoever comes after it, and would have its turn before it, has to wait for. */
  readonly isShort: boolean;
}

export interface BuildTask {
  readonly drvPath: StorePath;
  /** Placeholders are replaced by paths; its `env` lacks the base environment, see {@link BuildTask.env}. */
  readonly derivation: Derivation;
  /** The whole environment of the builder, ordered by name. Names and values are byte strings. */
  readonly env: ReadonlyMap<string, string>;
  /** The build directory on this machine: exists, empty, mode 0700. It belongs to `user` if there is one. */
  readonly workDirectory: string;
  readonly outputs: ReadonlyMap<string, BuildOutput>;
  /** Closure of all inputs, sorted: what the builder may read of the store. */
  readonly inputs: readonly StorePath[];
  /** Where an object lies on this machine. */
  realPathOf(path: StorePath): string;
  /** Standard output and error of the builder, in the order they arrive. */
  readonly log: LogSink;
  /** To be told where the outputs lie, for as long as the builder writes them. */
  readonly watch?: (places: readonly string[]) => Disposable;
  /** For people who watch: `progress("download", 512, 1024, "B")`. */
  progress(phase: string, done?: number, total?: number, unit?: string): void;
  /** Host paths named by `__buildSystemDeps`, each one allowed by configuration. */
  readonly systemDeps: readonly string[];
  /** Where executors that {@link Executor.takesPlaces} have a place for the builder from; default: all that come have one. */
  readonly places?: RunningPlaces;
  /** Called when the builder begins, by those executors. */
  readonly onBegin?: () => void;
  /** Called when no process of the builder lives any more; its last words may be still to come. */
  readonly onEnd?: () => void;
  readonly user?: BuildUser;
}

export type BuildOutcome =
  /** `remedy` is what probably helps, for people: the log, which is zb's to the byte, does not have it. */
  | { readonly type: "exited"; readonly code: number; readonly remedy?: string }
  /** `signal` as the kernel names it: `SIGKILL`. */
  | { readonly type: "signaled"; readonly signal: string }
  /** The builder could not be started, by its own fault: `fork/exec /no/such: no such file or directory`. */
  | { readonly type: "notStarted"; readonly message: string; readonly remedy?: string }
  /**
   * A built-in builder gave up. `code` is the stable name of the cause. `message` is its log line, which it has written already
   * (`builtin:fetchurl: ...`: the log goes on with `*** Build failed: builtin:fetchurl failed`); but for the code
   * `builtin.unknown` nothing was written, and the log is to say `*** Build failed: ` and the message.
   */
  | { readonly type: "failed"; readonly code: string; readonly message: string };

export interface Executor {
  /** For people and records: `process`, `sandbox`, `builtin`. */
  readonly name: string;
  /** The build directory as builders see it, where that differs from {@link BuildTask.workDirectory}: `/build`. */
  readonly workDirectoryInside?: string;
  /** Whether it takes a place for each builder by itself, when that is ready to begin; default: whoever calls it has one. */
  readonly takesPlaces?: boolean;
  /** Milliseconds that a builder may run, and that its outputs may then be read; for ever by default. */
  readonly wallTime?: number;
  /** Called when a builder is going to be needed soon: a chance to get ready. */
  warm?(): void;
  /**
   * Runs the builder to its end. Rejects when the executor itself failed (kind `internal`), or with the reason of
   * `signal` when that was aborted; by then everything it started is gone, too.
   */
  run(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome>;
}
