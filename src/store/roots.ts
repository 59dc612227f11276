/** Objects that must stay because something running needs them: builds and imports. */
import type { StorePath } from "../format/store-path.ts";
import { once } from "../util/keyed-mutex.ts";

export class TemporaryRoots {
  readonly #protected = new Counts();
  readonly #held = new Counts();

  /** Keeps `paths` from being removed by anybody until the result is disposed of. */
  protect(paths: Iterable<StorePath>): Disposable {
    const kept = [...paths];
    for (const path of kept) this.#protected.add(path);
    return once(() => {
      for (const path of kept) this.#protected.drop(path);
    });
  }

  /** Keeps what is added to the result from being collected, though not from being deleted by name, until it is disposed of. */
  hold(): Holding {
    return new Holding(this.#held);
  }

  /** Whether the object may not be removed at all. */
  has(path: StorePath): boolean {
    return this.#protected.has(path);
  }

  /** Whether the object may not be collected. */
  holds(path: StorePath): boolean {
    return this.#protected.has(path) || this.#held.has(path);
  }

  /** All that may not be collected. */
  *all(): Generator<StorePath, void, undefined> {
    yield* this.#protected.keys();
    yield* this.#held.keys();
  }
}

/** What one client has sent or was told to be there, and so may be about to build on. */
export class Holding implements Disposable {
  readonly #counts: Counts;
  readonly #mine = new Set<StorePath>();

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  add(path: StorePath): void {
    if (this.#mine.has(path)) return;
    this.#mine.add(path);
    this.#counts.add(path);
  }

  [Symbol.dispose](): void {
    for (const path of this.#mine) this.#counts.drop(path);
    this.#mine.clear();
  }
}

/** How many want each path. */
class Counts {
  readonly #counts = new Map<StorePath, number>();

  add(path: StorePath): void {
    this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1);
  }

  drop(path: StorePath): void {
    const left = (this.#counts.get(path) ?? 0) - 1;
    if (left > 0) this.#counts.set(path, left);
    else this.#counts.delete(path);
  }

  has(path: StorePath): boolean {
    return this.#counts.has(path);
  }

  keys(): Iterable<StorePath> {
    return this.#counts.keys();
  }
}
