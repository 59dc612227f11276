import type { Limiter } from "../util/limiter.ts";

/**
 * Places of builders that are started by somebody who begins the next one as soon as one has ended, in the place of that one, without asking here first:
 * until an end is heard of and answered, a processor may have nothing to do.
 */
export class HandedPlaces {
  readonly #places: Limiter;
  readonly #held: Disposable[] = [];
  /** How many were ordered and have not ended. */
  #ordered = 0;

  constructor(places: Limiter) {
    this.#places = places;
  }

  /**
   * Counts one more that is about to be ordered: with a place of its own, which may take a wait; or, where all places are held here and nobody else
   * waits for one, to begin when one of the others has ended.
   *
   * Rejects with the signal's reason when `signal` is aborted before that.
   *
   * @returns whether it has a place
   */
  async join(signal: AbortSignal, names: readonly string[]): Promise<boolean> {
    signal.throwIfAborted();
    let place = this.#places.acquireNow();
    if (place === undefined && !this.#canHandOver()) {
      place = await this.#places.acquire(signal, names);
    }
    if (place !== undefined) this.#held.push(place);
    this.#ordered++;
    return place !== undefined;
  }

  /** One of them has ended, or will not begin. */
  leave(): void {
    this.#ordered--;
    if (this.#ordered < this.#held.length) this.#held.pop()?.[Symbol.dispose]();
  }

  #canHandOver(): boolean {
    return this.#held.length === this.#places.max && this.#places.waiting === 0;
  }
}
