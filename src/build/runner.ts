/**
 * Builders are not the daemon's own children but those of a small process beside it, for two reasons. Starting a program copies the
 * memory map of the process that starts it, and holds it up meanwhile: cheap for a small process, not for a daemon. And should
 * the daemon be killed, somebody is left to end its builders.
 */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { KilnError } from "../util/kiln-error.ts";
import type { BuildOutcome, RunningPlaces } from "./executor.ts";
import { endProcesses } from "./process-tree.ts";
import type { BuilderCommand } from "./start-builder.ts";

export interface StartMessage {
  readonly type: "start";
  readonly id: number;
  readonly command: BuilderCommand;
  /** A FIFO to write the builder's output into. */
  readonly output: string;
}

/** To the runner: start a builder; ask one to end, and make it after so many milliseconds. */
export type ToRunner =
  | StartMessage
  | { readonly type: "stop"; readonly id: number; readonly grace: number };

/** From the runner. After anything but `started`, no process of the build is left. */
export type FromRunner =
  | { readonly type: "started"; readonly id: number }
  | { readonly type: "fault"; readonly id: number; readonly fault: string }
  | {
      readonly type: "ended";
      readonly id: number;
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
    }
  | {
      readonly type: "failed";
      readonly id: number;
      readonly code: string;
      readonly message: string;
    };

export interface RunnerOptions {
  /** Ends the builder: first it is asked, and after `grace` milliseconds it is made to. */
  readonly stop: AbortSignal;
  readonly grace: number;
  /** Where it has its place from; default: it has one. */
  readonly places?: RunningPlaces | undefined;
  /** Called when the builder begins: it, or why it did not, is the next that is heard of. */
  readonly onBegin?: (() => void) | undefined;
  /** Called when the builder has opened `output`, or never will. */
  readonly onStarted: () => void;
}

interface Waiting {
  readonly started: () => void;
  readonly ended: PromiseWithResolvers<BuildOutcome>;
}

export class Runner implements AsyncDisposable {
  #process: ChildProcess | undefined;
  #next = 1;
  readonly #waiting = new Map<number, Waiting>();

  /** Starts the process, so that the first builder need not wait for it. */
  warm(): void {
    if (this.#process !== undefined) return;
    const path = fileURLToPath(import.meta.url).replace(/(runner)(\.[a-z]+)$/, "$1-process$2");
    const child = fork(path, [], {
      detached: true, // a terminal's Ctrl-C is for the daemon
      env: {},
      execArgv: ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=1"],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    child.on("message", (message: FromRunner) => this.#hear(message));
    child.once("exit", () => this.#lose(child));
    child.once("error", () => this.#lose(child));
    this.#keepAlive(child, false);
    this.#process = child;
  }

  /**
   * Runs a builder. Resolves when it has ended and no process of its build that can be found is left.
   *
   * @param output a FIFO
   * @throws KilnError `process.…`
   */
  async run(
    command: BuilderCommand,
    output: string,
    { stop, grace, places, onBegin, onStarted }: RunnerOptions,
  ): Promise<BuildOutcome> {
    stop.throwIfAborted();
    using _place =
      places?.limiter.acquireNow() ?? (await places?.limiter.acquire(stop, places.names));
    stop.throwIfAborted();
    onBegin?.();
    this.warm();
    const id = this.#next++;
    const ended = Promise.withResolvers<BuildOutcome>();
    this.#waiting.set(id, { started: onStarted, ended });
    const end = (): void => this.#tell({ type: "stop", id, grace });
    this.#keepAlive(this.#process, true);
    try {
      this.#tell({ type: "start", id, command, output });
      if (stop.aborted) end();
      stop.addEventListener("abort", end, { once: true });
      return await ended.promise;
    } catch (error) {
      // Whoever should have ended them may be gone itself.
      await endProcesses({ leader: undefined, directory: command.workDirectory });
      throw error;
    } finally {
      stop.removeEventListener("abort", end);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#keepAlive(this.#process, false);
      onStarted();
    }
  }

  /** Ends the process. Nobody must wait for a builder any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    child.ref();
    const exited = new Promise((resolve) => child.once("exit", resolve));
    if (child.connected) child.disconnect();
    if (child.exitCode === null && child.signalCode === null) await exited;
  }

  /** Whether it keeps this process from ending. The channel of one that was killed ends before it is known to have ended. */
  #keepAlive(child: ChildProcess | undefined, wanted: boolean): void {
    for (const part of [child, child?.channel]) {
      if (wanted) part?.ref();
      else part?.unref();
    }
  }

  #tell(message: ToRunner): void {
    this.#process?.send(message, (error) => {
      if (error !== null) this.#fail(message.id, error);
    });
  }

  #hear(message: FromRunner): void {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    switch (message.type) {
      case "started":
        waiting.started();
        break;
      case "fault":
        waiting.ended.resolve({ type: "notStarted", message: message.fault });
        break;
      case "failed":
        waiting.ended.reject(new KilnError(message.code, message.message, { kind: "internal" }));
        break;
      case "ended":
        waiting.ended.resolve(
          message.signal === null
            ? { type: "exited", code: message.code ?? 0 }
            : { type: "signaled", signal: message.signal },
        );
    }
  }

  #fail(id: number, cause?: unknown): void {
    this.#waiting.get(id)?.ended.reject(
      new KilnError("process.runner", "the process that runs builders has ended", {
        kind: "internal",
        cause,
      }),
    );
  }

  #lose(child: ChildProcess): void {
    if (this.#process === child) this.#process = undefined;
    for (const id of this.#waiting.keys()) this.#fail(id);
  }
}
