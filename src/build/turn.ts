import type { Limiter } from "../util/limiter.ts";

/** A turn to register what a builder has left, in exchange for its place among those that run or are made ready. */
export class Turn implements Disposable {
  readonly #turns: Limiter;
  readonly #place: Disposable;
  #held: Disposable | undefined;

  constructor(turns: Limiter, place: Disposable) {
    this.#turns = turns;
    this.#place = place;
  }

  /** Takes it if one is free. */
  takeNow(): void {
    this.#held ??= this.#turns.acquireNow();
    if (this.#held !== undefined) this.#place[Symbol.dispose]();
  }

  /** Takes it, unless that was done. Rejects with the signal's reason when `signal` is aborted before one is free. */
  async take(signal: AbortSignal): Promise<void> {
    this.#held ??= await this.#turns.acquire(signal);
    this.#place[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#held?.[Symbol.dispose]();
  }
}
