/** Objects that must stay because something running needs them: builds and imports. */
import type { StorePath } from "../format/store-path.ts";
import { once } from "../util/keyed-mutex.ts";

export class TemporaryRoots {
  readonly #counts = new Map<StorePath, number>();

  /** Keeps `paths` from being removed until the result is disposed of. */
  protect(paths: Iterable<StorePath>): Disposable {
    const kept = [...paths];
    for (const path of kept) this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1);
    return once(() => {
      for (const path of kept) {
        const left = (this.#counts.get(path) ?? 0) - 1;
        if (left > 0) this.#counts.set(path, left);
        else this.#counts.delete(path);
      }
    });
  }

  has(path: StorePath): boolean {
    return this.#counts.has(path);
  }
}
