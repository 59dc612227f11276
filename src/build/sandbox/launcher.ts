/**
 * Stays with a sandbox from its start to its end.
 *
 * Two things end a sandbox with this process, whatever it dies of: its control line ends, and the death signal reaches `unshare`,
 * and through it process 1. One alone would do nearly always; each has a moment or an enemy that the other one has not.
 */
import { constants } from "node:os";
import { KilnError } from "../../util/kiln-error.ts";
import { KnownProcess } from "./known-process.ts";
import { type Keeper, type Launch, startSandbox } from "./start.ts";

export type Ended =
  | { readonly type: "exited"; readonly code: number }
  | { readonly type: "signaled"; readonly signal: string }
  | { readonly type: "notStarted"; readonly reason: Refusal };

/** `missing`: the builder or what interprets it; `forbidden`: it must not be executed; `refused`: the kernel does not take it. */
export type Refusal = "missing" | "forbidden" | "refused";

/** How `init.pl` and the last link of `init.sh` say that there is no builder to become. */
const notStarted: Readonly<Record<number, Refusal>> = {
  190: "refused",
  191: "forbidden",
  192: "missing",
};

/**
 * Runs a builder in a sandbox to its end. When this settles, every process of the sandbox is gone.
 *
 * Aborting `signal` asks the builder to end, and after the grace time makes it; the promise then settles all the same.
 *
 * @throws KilnError `sandbox.setup` when the sandbox could not be made, `sandbox.killed` when it was ended from outside
 */
export async function launch(options: Launch, signal: AbortSignal): Promise<Ended> {
  await using sandbox = new RunningSandbox(options);
  const stop = (): void => sandbox.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    if (options.network !== undefined && (await sandbox.reached("network"))) {
      await options.network(sandbox.pid);
      sandbox.go();
    }
    return await sandbox.ended();
  } catch (error) {
    if (!signal.aborted) throw error;
    return { type: "signaled", signal: "SIGKILL" };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

class RunningSandbox implements AsyncDisposable {
  readonly #keeper: Keeper;
  readonly #closed = Promise.withResolvers<void>();
  readonly #grace: number;
  readonly #onStarted: () => void;
  readonly #news: string[] = [];
  #newsArrived = Promise.withResolvers<void>();
  #isClosed = false;
  #complaint = "";
  #isStopping = false;
  #isKilled = false;
  #isOrphaned = false;
  #timer: NodeJS.Timeout | undefined;
  /** Process 1. */
  #init: KnownProcess | undefined;

  constructor(options: Launch) {
    this.#grace = options.grace;
    this.#onStarted = options.onStarted;
    this.#keeper = startSandbox(options, {
      line: (text) => this.#tell(text),
      complaint: (text) => {
        if (this.#complaint.length < 4096) this.#complaint += text;
      },
      orphaned: () => {
        this.#isOrphaned = true;
        this.kill();
      },
      closed: () => {
        this.#isClosed = true;
        this.#newsArrived.resolve();
        this.#closed.resolve();
        this.#onStarted();
      },
    });
  }

  /** Of a process in the namespaces. */
  get pid(): number {
    return this.#init?.pid ?? 0;
  }

  /** Resolves to true when process 1 has said `word`, and to false when it has ended without. */
  async reached(word: string): Promise<boolean> {
    while (!this.#news.includes(word)) {
      if (this.#isClosed) return false;
      await this.#newsArrived.promise;
    }
    return true;
  }

  go(): void {
    this.#keeper.order("go");
  }

  /** Asks the builder to end; makes it after the grace time. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#keeper.order("end");
    // The builder's first word, which may be why, comes by another way than that it was started, which was said before.
    this.#keeper.catchUp(() => {
      if (this.#isClosed) return;
      if (!this.#news.includes("started")) this.kill();
      else this.#timer = setTimeout(() => this.kill(), this.#grace);
    });
  }

  /** Ends every process of the sandbox. */
  kill(): void {
    this.#isKilled = true;
    this.#keeper.release();
    if (this.#init === undefined) this.#keeper.kill();
    else this.#init.kill();
  }

  async ended(): Promise<Ended> {
    await this.#closed.promise;
    const last = /^(exited|signaled) (\d+)$/.exec(this.#news.at(-1) ?? "");
    if (last !== null) return endedBy(last[1] === "signaled", Number(last[2]));
    if (this.#isStopping) return { type: "signaled", signal: "SIGKILL" };
    // "failed" may come after it: the last steps are those of the process that becomes the builder.
    if (this.#news.at(-1) !== "started") throw setupFailed(this.#complaint);
    throw new KilnError("sandbox.killed", "the sandbox was ended from outside", {
      kind: "internal",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) this.kill();
    await this.#closed.promise;
    clearTimeout(this.#timer);
    // The kernel ends process 1 last, and then what waits for it is told, unless that was killed itself.
    if (this.#isOrphaned) await this.#init?.gone();
  }

  #tell(line: string): void {
    const pid = /^pid (\d+)$/.exec(line)?.[1];
    if (pid !== undefined) {
      this.#init = new KnownProcess(Number(pid));
      // Whoever was killed before it could tell this may have left it behind, and it may wait for ever for what was killed, too.
      if (this.#isKilled) this.#init.kill();
    }
    this.#news.push(line);
    if (line === "started") this.#onStarted();
    this.#newsArrived.resolve();
    this.#newsArrived = Promise.withResolvers();
  }
}

function setupFailed(complaint: string): KilnError {
  const reason = complaint.trim() || "no reason was given";
  return new KilnError("sandbox.setup", `the sandbox could not be set up: ${reason}`, {
    kind: "internal",
    hint: "kiln doctor",
  });
}

function endedBy(isSignal: boolean, code: number): Ended {
  if (!isSignal) return { type: "exited", code };
  const refusal = notStarted[code];
  if (refusal !== undefined) return { type: "notStarted", reason: refusal };
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128);
  return { type: "signaled", signal: found?.[0] ?? `SIG${code - 128}` };
}
