/** Waiting for another process to end its work with the store. A daemon does not end: there is no use in waiting for it. */
import { readFileSync } from "node:fs";
import type { WaitForLock } from "../server/options.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { CommandContext } from "./context.ts";

export class LockWaiting implements WaitForLock {
  metDaemon = false;
  readonly signal: AbortSignal;
  readonly #daemonMet = new AbortController();
  readonly #directory: string;
  readonly #context: CommandContext;

  constructor(directory: string, context: CommandContext, signal: AbortSignal | undefined) {
    this.#directory = directory;
    this.#context = context;
    const signals = [this.#daemonMet.signal, ...(signal === undefined ? [] : [signal])];
    this.signal = AbortSignal.any(signals);
  }

  readonly onWait = (pid: number | undefined): void => {
    if (pid === undefined || !isDaemon(pid)) {
      const who = pid === undefined ? "another process" : `process ${pid}`;
      const serve = this.#context.kiln("serve");
      this.#context.note(
        `waiting for ${who}, which uses the store ${this.#directory} (a daemon lets both work: ${serve})`,
      );
      return;
    }
    this.metDaemon = true;
    this.#daemonMet.abort(
      new KilnError("store.locked", `process ${pid} serves the store ${this.#directory}`, {
        path: this.#directory,
        hint: "name its socket: --store-socket",
      }),
    );
  };
}

/** Whether the process is a `kiln serve` or `kiln ui`: those do not end by themselves. */
function isDaemon(pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(1);
    return words.includes("serve") || words.includes("ui");
  } catch {
    return false;
  }
}
