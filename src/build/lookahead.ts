import { Limiter } from "../util/limiter.ts";

/** Whether a builder that takes so many milliseconds is a short one: as one of which nothing is known. */
export function isShort(milliseconds: number | null): boolean {
  return milliseconds === null || milliseconds < 100;
}

/** How many are made ready besides those that run, for each of these; and at most. */
const [ahead, mostAhead] = [2, 8];

/**
 * How many builders are made ready before they have a place to run. To make one ready takes as long as many a builder runs: with
 * some in reserve none of the places stands empty. Only while builders are short: whoever comes meanwhile would have to wait for those in reserve, too.
 */
export class Lookahead {
  /** For builders that run, or are made ready to. */
  readonly preparations: Limiter;
  readonly #jobs: number;

  /** `jobs`: how many run at the same time. */
  constructor(jobs: number) {
    this.#jobs = jobs;
    this.preparations = new Limiter(jobs);
  }

  /** A builder has run for so many milliseconds. */
  ended(milliseconds: number): void {
    const reserve = isShort(milliseconds) ? Math.min(ahead * this.#jobs, mostAhead) : 0;
    this.preparations.max = this.#jobs + reserve;
  }
}
