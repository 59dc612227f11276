import { once } from "../util/keyed-mutex.ts";
import type { Limiter } from "../util/limiter.ts";
import type { RunningPlaces } from "./executor.ts";

/** One that is ordered. It is disposed of when that has ended, or will not begin. */
export interface Seat extends Disposable {
  /** Whether it has a place of its own. If not, it begins when one of the others has ended. */
  readonly hasPlace: boolean;
}

/**
 * Places of builders that are started by somebody who begins the next one as soon as one has ended, in the place of that one, without
 * asking here first: until an end is heard of and answered, a processor may have nothing to do.
 *
 * As many run as there are places held here, or fewer, where fewer are ordered.
 */
export class HandedPlaces {
  readonly #places: Limiter;
  readonly #held: Disposable[] = [];
  /** How many were ordered and have not ended. */
  #ordered = 0;
  /** Those who wait for a place, and need not when nobody else does. */
  readonly #waiting = new Set<AbortController>();
  /** How many may still run though whoever started them is gone. */
  #lost = 0;

  constructor(places: Limiter) {
    this.#places = places;
  }

  /**
   * One more is about to be ordered: with a place of its own, which may take a wait; or, where all places are held here and nobody else
   * waits for one, without.
   *
   * Rejects with the signal's reason when `signal` is aborted before that.
   */
  async join(
    signal: AbortSignal,
    { names, isShort }: Omit<RunningPlaces, "limiter">,
  ): Promise<Seat> {
    let place: Disposable | undefined;
    for (;;) {
      signal.throwIfAborted();
      place = this.#places.acquireNow();
      if (place !== undefined || (isShort && this.#canFollow())) break;
      place = await (isShort ? this.#wait(signal, names) : this.#places.acquire(signal, names));
      if (place !== undefined) break;
    }
    if (place !== undefined) this.#held.push(place);
    this.#ordered++;
    if (this.#canFollow()) for (const waiting of this.#waiting) waiting.abort();
    const left = once(() => this.#leave());
    return { hasPlace: place !== undefined, [Symbol.dispose]: () => left[Symbol.dispose]() };
  }

  /** Until the result is disposed of nobody follows: one that was ordered may still run, and whoever begins the next one does not know of it. */
  lose(): Disposable {
    this.#lost++;
    return once(() => this.#lost--);
  }

  #leave(): void {
    this.#ordered--;
    if (this.#ordered < this.#held.length) this.#held.pop()?.[Symbol.dispose]();
  }

  #canFollow(): boolean {
    if (this.#lost > 0) return false;
    return this.#held.length === this.#places.max && this.#places.waiting === this.#waiting.size;
  }

  /** A place; undefined when that is not needed any more. */
  async #wait(signal: AbortSignal, names: readonly string[]): Promise<Disposable | undefined> {
    const quit = new AbortController();
    this.#waiting.add(quit);
    try {
      return await this.#places.acquire(AbortSignal.any([signal, quit.signal]), names);
    } catch (error) {
      if (quit.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#waiting.delete(quit);
    }
  }
}
