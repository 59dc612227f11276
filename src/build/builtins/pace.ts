import { setImmediate } from "node:timers/promises";

/**
 * Lets the rest of the process have its turn.
 *
 * Unpacking is thousands of short synchronous file operations: quick, but nobody else runs meanwhile. Who calls `breathe` between
 * them holds the event loop for a few milliseconds at a time, and learns there of being cancelled.
 */
export class Pace {
  readonly #signal: AbortSignal;
  readonly #hold: number;
  #since: number;

  /** `hold` is the longest turn in milliseconds. */
  constructor(signal: AbortSignal, hold = 8) {
    this.#signal = signal;
    this.#hold = hold;
    this.#since = performance.now();
  }

  /** Rejects with the reason of the signal once that is aborted. */
  async breathe(): Promise<void> {
    this.#signal.throwIfAborted();
    if (performance.now() - this.#since < this.#hold) return;
    await setImmediate();
    this.#signal.throwIfAborted();
    this.#since = performance.now();
  }
}
