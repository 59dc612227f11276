import { once, waitInLine } from "./keyed-mutex.ts";
import { Turns } from "./turns.ts";

/** At most `max` holders at once; who waits comes in by turns, and first come first served among those of one name. */
export class Limiter {
  readonly max: number;
  #held = 0;
  readonly #waiting = new Turns();

  constructor(max: number) {
    if (!Number.isInteger(max) || max < 1) throw new RangeError(`a limit of ${max} lets nobody in`);
    this.max = max;
  }

  /** How many hold a place now. */
  get held(): number {
    return this.#held;
  }

  /**
   * Waits for a free place and holds it until the result is disposed of (more than once is harmless). `names` say who asks, as
   * `[user, build]`: see {@link Turns}.
   *
   * Rejects with the signal's reason when `signal` is aborted before that.
   */
  async acquire(signal?: AbortSignal, names: readonly string[] = []): Promise<Disposable> {
    signal?.throwIfAborted();
    const free = this.acquireNow();
    if (free !== undefined) return free;
    await waitInLine(this.#waiting.lineOf(names), signal);
    return this.#place();
  }

  /** A place, if one is free. */
  acquireNow(): Disposable | undefined {
    if (this.#held === this.max) return undefined;
    this.#held++;
    return this.#place();
  }

  #place(): Disposable {
    return once(() => {
      if (!this.#waiting.letIn()) this.#held--; // or the place changes hands
    });
  }
}
