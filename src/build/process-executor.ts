/**
 * Builders as plain child processes: no sandbox, the machine as it is.
 *
 * Such a builder writes its outputs to their logical paths, so the store must really lie where its paths say. From there they are
 * moved to where the task wants them, when every process of the build that can be found is dead.
 */
import { chmodSync, lstatSync, renameSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../files/file-error.ts";
import type { StoreDirectory, StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { once } from "../util/keyed-mutex.ts";
import type { BuildOutcome, BuildTask, Executor } from "./executor.ts";
import { type Fifo, FifoPool } from "./fifo-pool.ts";
import { endProcesses, killHoldersOf } from "./process-tree.ts";
import { findProgram } from "./builtins/extract/program.ts";
import { PerlRunner } from "./perl-runner.ts";
import { Runner } from "./runner.ts";
import type { BuilderCommand } from "./start-builder.ts";
import { canStart } from "./starter.ts";

export interface ProcessExecutorOptions {
  readonly storeDirectory: StoreDirectory;
  readonly realDirectory: string;
  /** A private folder on the store's file system. */
  readonly temporaryDirectory: string;
  /**
   * Announces names that builders write into the store directory: what has such a name goes, now and when the result is disposed of.
   */
  readonly claim: (paths: readonly StorePath[]) => Promise<AsyncDisposable>;
  /** Milliseconds between SIGTERM and SIGKILL when a build is cancelled; default 5,000. */
  readonly grace?: number;
  /** The perl that starts builders, or `none`: then Node does. Default: the one of this machine, if there is one. */
  readonly perl?: string;
}

export class ProcessExecutor implements Executor, AsyncDisposable {
  readonly name = "process";
  readonly takesPlaces = true;
  readonly #options: ProcessExecutorOptions;
  readonly #fifos: FifoPool;
  readonly #runner: Runner | PerlRunner;
  #launchers = 0;

  constructor(options: ProcessExecutorOptions) {
    this.#options = options;
    this.#fifos = new FifoPool(options.temporaryDirectory);
    const { perl = findProgram("perl") } = options;
    const isUsable = perl !== undefined && perl !== "none" && canStart();
    this.#runner = isUsable ? new PerlRunner(perl) : new Runner();
  }

  warm(): void {
    this.#runner.warm();
    this.#fifos.warm();
  }

  async run(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome> {
    const { storeDirectory, realDirectory, claim } = this.#options;
    if (storeDirectory !== realDirectory) {
      throw new KilnError(
        "store.relocated",
        `without a sandbox builders need the store at ${storeDirectory}, and it is at ${realDirectory}`,
        { kind: "internal", path: realDirectory },
      );
    }
    signal.throwIfAborted();
    const outputs = [...task.outputs.values()];
    await using _claimed = await claim(outputs.map(({ logical }) => logical));
    const outcome = await this.#runProcess(task, signal);
    if (outcome.type === "exited" && outcome.code === 0) {
      for (const { logical, real } of outputs) moveOutput(task.realPathOf(logical), real);
    }
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner[Symbol.asyncDispose]();
    await this.#fifos[Symbol.asyncDispose]();
  }

  async #runProcess(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome> {
    const logFault = new AbortController();
    const stop = AbortSignal.any([signal, logFault.signal]);
    const begun = once(() => {
      try {
        task.onBegin?.();
      } catch (error) {
        logFault.abort(error); // which ends it
      }
    });
    const onBegin = (): void => begun[Symbol.dispose]();
    using fifo = await this.#fifos.take((chunk) => {
      if (logFault.signal.aborted) return;
      onBegin(); // its first words may be heard before that
      try {
        task.log.write(chunk);
      } catch (error) {
        logFault.abort(error);
      }
    });
    const places = Array.from(task.outputs.values(), ({ logical }) => task.realPathOf(logical));
    using _watch = task.watch?.(places);
    const { temporaryDirectory, grace = 5000 } = this.#options;
    const command: BuilderCommand = {
      builder: task.derivation.builder,
      args: task.derivation.args,
      env: task.env,
      workDirectory: task.workDirectory,
      user: task.user,
      launcher: join(temporaryDirectory, `launcher-${++this.#launchers}`),
    };
    const onStarted = (): void => fifo.closeWriteEnd();
    const options = { stop, grace, places: task.places, onBegin, onStarted };
    const outcome = await this.#runner.run(command, fifo.path, options);
    task.onEnd?.();
    await drain(fifo, task);
    stop.throwIfAborted();
    return outcome;
  }
}

/** Waits for the last words. Whoever still has the builder's output open without any other mark of the build is ended, too. */
async function drain(fifo: Fifo, task: BuildTask): Promise<void> {
  for (let round = 0; round < 5; round++) {
    if (await fifo.endsWithin(500)) return;
    killHoldersOf(fifo.path);
    await endProcesses({ leader: undefined, directory: task.workDirectory });
  }
}

/** Nothing is there if the builder did not make it. */
function moveOutput(from: string, to: string): void {
  attempt("move", from, () => {
    const stats = lstatSync(from, { throwIfNoEntry: false });
    if (stats === undefined) return;
    // A directory that its owner may not write cannot get another parent: its ".." changes.
    if (stats.isDirectory() && (stats.mode & 0o700) !== 0o700) chmodSync(from, 0o700);
    renameSync(from, to);
  });
}
