/** How long the outputs of a build may be read: as long as its builder may run. One that has no end costs its builder nothing. */
import { Timer } from "../util/timer.ts";
import { limitReached } from "./limited-executor.ts";

export class ReadingTime implements Disposable {
  /** Aborts with `signal`, and with `limit.wallTime` when the time is over. */
  readonly signal: AbortSignal;
  readonly #timer: Timer | undefined;

  /** Without `milliseconds` there is no limit. */
  constructor(signal: AbortSignal, milliseconds: number | undefined) {
    this.signal = signal;
    if (milliseconds === undefined) return;
    const over = new AbortController();
    this.signal = AbortSignal.any([signal, over.signal]);
    this.#timer = new Timer(milliseconds, () => {
      const message = `reading its outputs took longer than ${milliseconds / 1000}s`;
      over.abort(limitReached("wallTime", message));
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }
}
