/**
 * Where builders are going to work. It is on record before a directory is made: after a crash that tells where to look for what is left. To
 * write that down takes as long as some builders do, so it is done for the next ones, too.
 */
import { buildDirectoryName } from "./build-directory.ts";
import type { Result } from "./result.ts";

/** For so many builders at once: few at first, while nothing runs beside it. */
const [first, most] = [4, 64];

export interface WorkDirectoriesOptions {
  /** The folder of all build directories. */
  readonly parent: string;
  /** Writes the results down; whether that was possible. */
  readonly save: (results: readonly Result[]) => boolean;
}

export class WorkDirectories {
  readonly #options: WorkDirectoriesOptions;
  #expected: readonly Result[] = [];
  /** How many of them were looked at. */
  #seen = 0;
  #atOnce = first;

  constructor(options: WorkDirectoriesOptions) {
    this.#options = options;
  }

  /** Those that will be wanted, in about this order. */
  expect(results: readonly Result[]): void {
    this.#expected = results;
    this.#seen = 0;
  }

  /** The path for this one, which is on record; it is made by others. */
  of(result: Result): string {
    if (result.buildDirectory !== undefined) return result.buildDirectory;
    const path = this.#name(result);
    const next = this.#next();
    // What is not on record is tried again when its turn has come.
    if (!this.#options.save([result, ...next]))
      for (const one of next) one.buildDirectory = undefined;
    return path;
  }

  #next(): Result[] {
    const next: Result[] = [];
    while (next.length < this.#atOnce - 1) {
      const result = this.#expected[this.#seen++];
      if (result === undefined) break;
      if (result.state !== "waiting" || result.buildDirectory !== undefined) continue;
      this.#name(result);
      next.push(result);
    }
    this.#atOnce = most;
    return next;
  }

  #name(result: Result): string {
    return (result.buildDirectory = buildDirectoryName(this.#options.parent, result.name));
  }
}
