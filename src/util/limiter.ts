import { once, waitInLine } from "./keyed-mutex.ts";

/** At most `max` holders at once, first come first served. */
export class Limiter {
  readonly max: number;
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    if (!Number.isInteger(max) || max < 1) throw new RangeError(`a limit of ${max} lets nobody in`);
    this.max = max;
  }

  /** How many hold a place now. */
  get held(): number {
    return this.#held;
  }

  /**
   * Waits for a free place and holds it until the result is disposed of (more than once is harmless).
   * Rejects with the signal's reason when `signal` is aborted before that.
   */
  async acquire(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#held < this.max) this.#held++;
    else await waitInLine(this.#waiting, signal);
    return once(() => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#held--;
      else next(); // the place changes hands
    });
  }
}
