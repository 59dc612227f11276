/** Builds that ended while that could not be written down, on a full disk mostly: it is tried again until it can. */
import type { Build } from "./build.ts";

/** Milliseconds between two tries. */
const pace = 1000;

export class UnsavedBuilds implements Disposable {
  readonly #builds = new Set<Build>();
  #timer: NodeJS.Timeout | undefined;

  /** Nothing is done about a build that is saved. */
  add(build: Build): void {
    if (build.isSaved) return;
    this.#builds.add(build);
    this.#timer ??= setInterval(() => this.#save(), pace).unref();
  }

  has(build: Build): boolean {
    return this.#builds.has(build);
  }

  /** Tries a last time. What is not written down then, the next start finds unfinished, and closes. */
  [Symbol.dispose](): void {
    this.#save();
    clearInterval(this.#timer);
  }

  #save(): void {
    for (const build of this.#builds) {
      if (!build.save()) return; // nor could the others be
      this.#builds.delete(build);
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
