import { once, waitInLine } from "./keyed-mutex.ts";
import { Turns } from "./turns.ts";

/** At most `max` holders at once; who waits comes in by turns, and first come first served among those of one name. */
export class Limiter {
  #max: number;
  #held = 0;
  #inLine = 0;
  readonly #waiting = new Turns();

  constructor(max: number) {
    this.#max = checked(max);
  }

  get max(): number {
    return this.#max;
  }

  /** Who waits comes in as far as there is room now. Who holds a place keeps it. */
  set max(max: number) {
    this.#max = checked(max);
    while (this.#held < max && this.#waiting.letIn()) this.#held++;
  }

  /** How many hold a place now. */
  get held(): number {
    return this.#held;
  }

  /** How many wait for one. */
  get waiting(): number {
    return this.#inLine;
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
    this.#inLine++;
    try {
      await waitInLine(this.#waiting.lineOf(names), signal);
    } finally {
      this.#inLine--;
    }
    return this.#place();
  }

  /** A place, if one is free. */
  acquireNow(): Disposable | undefined {
    if (this.#held >= this.#max) return undefined;
    this.#held++;
    return this.#place();
  }

  #place(): Disposable {
    return once(() => {
      if (this.#held > this.#max || !this.#waiting.letIn()) this.#held--; // or the place changes hands
    });
  }
}

function checked(max: number): number {
  if (!Number.isInteger(max) || max < 1) throw new RangeError(`a limit of ${max} lets nobody in`);
  return max;
}
