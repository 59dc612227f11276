/**
 * Ends builds that take too long, say nothing for too long or say too much, and refuses outputs that are too large, whatever
 * executor runs them. Memory and processes are the business of the executor that starts them.
 */
import { chmodSync, lstatSync } from "node:fs";
import { hold } from "../files/directory.ts";
import { inSlices } from "../files/slices.ts";
import { walk } from "../files/walk.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Timer } from "../util/timer.ts";
import type { BuildOutcome, BuildTask, Executor, LogSink } from "./executor.ts";

export interface BuildLimits {
  /** Milliseconds from start to end. */
  readonly wallTime?: number;
  /** Milliseconds without a word in the log. */
  readonly silentTime?: number;
  /** Bytes of log. */
  readonly logSize?: number;
  /** Bytes of all files in all outputs together. */
  readonly outputSize?: number;
}

/** A build that ran into a limit: a failure of its builder. `limit` as in `limit.wallTime`; `message` also ends the log. */
export function limitReached(limit: string, message: string): KilnError {
  return new KilnError(`limit.${limit}`, message, { kind: "builder" });
}

export class LimitedExecutor implements Executor, AsyncDisposable {
  readonly name: string;
  readonly workDirectoryInside?: string;
  readonly takesPlaces?: boolean;
  readonly wallTime?: number;
  readonly #executor: Executor & Partial<AsyncDisposable>;
  readonly #limits: BuildLimits;
  readonly #unheld: readonly string[];

  /** Disposing of this disposes of `executor`. `unheld` are limits that were asked for and that nobody enforces: each log begins with that. */
  constructor(
    executor: Executor & Partial<AsyncDisposable>,
    limits: BuildLimits,
    unheld: readonly string[] = [],
  ) {
    this.name = executor.name;
    if (executor.workDirectoryInside !== undefined) {
      this.workDirectoryInside = executor.workDirectoryInside;
    }
    if (executor.takesPlaces !== undefined) this.takesPlaces = executor.takesPlaces;
    if (limits.wallTime !== undefined) this.wallTime = limits.wallTime;
    this.#executor = executor;
    this.#limits = limits;
    this.#unheld = unheld;
  }

  warm(): void {
    this.#executor.warm?.();
  }

  /** Rejects with `limit.…`, of kind `builder`, when the build runs into one. */
  async run(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome> {
    using watch = new Watch(task.log, this.#limits);
    const onBegin = (): void => {
      task.onBegin?.();
      if (this.#unheld.length > 0) {
        task.log.write(Buffer.from(`*** Not limited here: ${this.#unheld.join(", ")}\n`));
      }
      watch.begin();
    };
    if (this.takesPlaces !== true) onBegin();
    const stop = AbortSignal.any([signal, watch.signal]);
    const outcome = await this.#executor.run({ ...task, log: watch, onBegin }, stop);
    stop.throwIfAborted();
    if (outcome.type === "exited" && outcome.code === 0) {
      await checkOutputs(task, this.#limits.outputSize ?? Infinity, signal);
    }
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#executor[Symbol.asyncDispose]?.();
  }
}

/** Stands between a builder and its log. Its signal aborts when a limit is reached; the time counts from when it begins. */
class Watch implements LogSink, Disposable {
  readonly #log: LogSink;
  readonly #limits: BuildLimits;
  readonly #abort = new AbortController();
  #wall: Timer | undefined;
  #silence: Timer | undefined;
  #written = 0;

  constructor(log: LogSink, limits: BuildLimits) {
    this.#log = log;
    this.#limits = limits;
  }

  begin(): void {
    const { wallTime, silentTime } = this.#limits;
    this.#wall = this.#after(
      wallTime,
      "wallTime",
      () => `it took longer than ${seconds(wallTime)}`,
    );
    this.#silence = this.#after(
      silentTime,
      "silentTime",
      () => `it wrote nothing for ${seconds(silentTime)}`,
    );
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  write(chunk: Uint8Array): void {
    this.#silence?.refresh();
    const { logSize = Infinity } = this.#limits;
    const rest = Math.max(0, logSize - this.#written);
    this.#written += chunk.length;
    if (rest > 0) this.#log.write(chunk.subarray(0, rest));
    if (chunk.length <= rest) return;
    // What comes from here on is not written any more: ending a builder takes a moment, in which it may say a lot.
    this.#abort.abort(limitReached("logSize", `it wrote more than ${logSize} bytes of log`));
  }

  [Symbol.dispose](): void {
    this.#wall?.[Symbol.dispose]();
    this.#silence?.[Symbol.dispose]();
  }

  #after(
    milliseconds: number | undefined,
    limit: string,
    message: () => string,
  ): Timer | undefined {
    if (milliseconds === undefined) return undefined;
    return new Timer(milliseconds, () => this.#abort.abort(limitReached(limit, message())));
  }
}

async function checkOutputs(task: BuildTask, limit: number, signal: AbortSignal): Promise<void> {
  if (limit === Infinity) return;
  let size = 0;
  for (const { real } of task.outputs.values()) {
    await inSlices(filesIn(real), (bytes) => (size += bytes), signal);
  }
  if (size > limit) {
    throw limitReached("outputSize", `its outputs have ${size} bytes, more than ${limit}`);
  }
}

/** The sizes of the files in a tree, if there is one. */
function* filesIn(path: string): Generator<number, void, void> {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  for (const { type, parent, name } of walk(path)) {
    if (type !== "file" && type !== "enter") continue;
    using held = hold(parent, name);
    if (type === "file") yield held.stats.size;
    // Its owner may have kept himself out.
    else if ((held.stats.mode & 0o500) !== 0o500) chmodSync(held.self, 0o700);
  }
}

function seconds(milliseconds = 0): string {
  return `${milliseconds / 1000}s`;
}
