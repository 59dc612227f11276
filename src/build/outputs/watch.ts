/** What a builder writes begins to go to disk while it runs, so that less is left to do when it has ended. */
import { lstatSync } from "node:fs";
import type { Store } from "../../store/store.ts";

/** Milliseconds between two looks. */
const pause = 100;

/** A file begins to go to disk when it has so many bytes that did not. */
const step = 16 * 1024 * 1024;

/**
 * Looks at the outputs that are written at `places`, until the result is disposed of: at those that are a single file. What lies in
 * a directory may be there for the moment only, and looking for it would take longer.
 */
export function watchOutputs(
  places: readonly string[],
  store: Pick<Store, "warm" | "syncAhead">,
): Disposable {
  /** How many bytes of each began to go to disk. */
  const begun = new Map(places.map((place) => [place, 0]));
  const underWay = new Set<string>();
  const look = (place: string, before: number): void => {
    if (underWay.has(place)) return;
    const size = sizeOf(place);
    if (size < before + step) return;
    begun.set(place, size);
    underWay.add(place);
    void store.syncAhead(place).finally(() => underWay.delete(place));
  };
  const timer = setInterval(() => {
    // Who takes a while often leaves much.
    store.warm();
    for (const [place, before] of begun) look(place, before);
  }, pause);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Bytes of what is a file; 0 of everything else, also of what its builder lets nobody see. */
function sizeOf(place: string): number {
  try {
    const stats = lstatSync(place, { throwIfNoEntry: false });
    return stats?.isFile() === true ? stats.size : 0;
  } catch {
    return 0;
  }
}
