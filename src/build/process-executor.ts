/**
 * Builders as plain child processes: no sandbox, the machine as it is.
 *
 * Such a builder writes its outputs to their logical paths, so the store must really lie where its paths say. From there they are
 * moved to where the task wants them, when every process of the build that can be found is dead.
 */
import type { ChildProcess } from "node:child_process";
import { chmodSync, lstatSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { attempt } from "../files/file-error.ts";
import type { StoreDirectory, StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { BuildOutcome, BuildTask, Executor } from "./executor.ts";
import { type Fifo, FifoPool } from "./fifo-pool.ts";
import { endProcesses, killHoldersOf, signalGroup } from "./process-tree.ts";
import { startBuilder } from "./start-builder.ts";

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
}

export class ProcessExecutor implements Executor, AsyncDisposable {
  readonly name = "process";
  readonly #options: ProcessExecutorOptions;
  readonly #fifos: FifoPool;
  #launchers = 0;

  constructor(options: ProcessExecutorOptions) {
    this.#options = options;
    this.#fifos = new FifoPool(options.temporaryDirectory);
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.#fifos[Symbol.asyncDispose]();
  }

  async #runProcess(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome> {
    const logFault = new AbortController();
    const stop = AbortSignal.any([signal, logFault.signal]);
    using fifo = await this.#fifos.take((chunk) => {
      if (logFault.signal.aborted) return;
      try {
        task.log.write(chunk);
      } catch (error) {
        logFault.abort(error);
      }
    });
    const launcher = join(this.#options.temporaryDirectory, `launcher-${++this.#launchers}`);
    const started = await startBuilder(task, fifo.writeEnd, launcher);
    fifo.closeWriteEnd();
    if ("fault" in started) return { type: "notStarted", message: started.fault };
    const outcome = await this.#exit(started.process, started.pid, stop);
    await endProcesses({
      leader: started.pid,
      directory: task.workDirectory,
      uid: task.user?.uid,
    });
    await drain(fifo, task);
    rmSync(launcher, { force: true });
    stop.throwIfAborted();
    return outcome;
  }

  /** How the builder ended; once `stop` is aborted it is asked to, and after the grace time made to. */
  #exit(child: ChildProcess, pid: number, stop: AbortSignal): Promise<BuildOutcome> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        signalGroup(pid, "SIGTERM");
        timer = setTimeout(() => signalGroup(pid, "SIGKILL"), this.#options.grace ?? 5000);
      };
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        stop.removeEventListener("abort", end);
        if (signal === null) resolve({ type: "exited", code: code ?? 0 });
        else resolve({ type: "signaled", signal });
      });
      if (stop.aborted) end();
      else stop.addEventListener("abort", end, { once: true });
    });
  }
}

/** Waits for the last words. Whoever still has the builder's output open without any other mark of the build is ended, too. */
async function drain(fifo: Fifo, task: BuildTask): Promise<void> {
  for (let round = 0; round < 5; round++) {
    const abort = new AbortController();
    const ended = await Promise.race([
      fifo.ended.then(() => true),
      wait(500, false, { signal: abort.signal }).catch(() => true),
    ]);
    abort.abort();
    if (ended) return;
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
