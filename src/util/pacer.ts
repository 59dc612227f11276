import { setImmediate } from "node:timers/promises";

/**
 * Keeps a long computation from holding up the event loop: `await pacer.pause()` between its steps lets other work in when
 * this one has had its share of time, and costs next to nothing when it has not.
 */
export class Pacer {
  readonly #share: number;
  #since = performance.now();

  /** `share` is in milliseconds. */
  constructor(share = 5) {
    this.#share = share;
  }

  /** Whether {@link pause} would let others in now. */
  get due(): boolean {
    return performance.now() - this.#since >= this.#share;
  }

  async pause(): Promise<void> {
    if (!this.due) return;
    await setImmediate();
    this.#since = performance.now();
  }
}
