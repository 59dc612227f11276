/** Who holds what in a store: how much each root needs, and how much of that nothing else needs. */
import type { StorePath } from "../format/store-path.ts";
import type { Root } from "../store/database/root-table.ts";
import type { Store } from "../store/store.ts";

export interface RootHolding {
  readonly root: Root;
  /** The object and all it refers to. */
  readonly closureCount: number;
  readonly closureSize: number;
  /** What a collection would free if this root went away, others staying. Roots of the same object have nothing alone. */
  readonly onlyHere: number;
}

export interface Holdings {
  /** What they alone hold: the most first. */
  readonly roots: readonly RootHolding[];
  /** All that roots hold together, in bytes of NARs. */
  readonly heldByRoots: number;
  /** What a collection would remove now. */
  readonly collectableCount: number;
  readonly collectableSize: number;
}

/** Milliseconds that an answer is good for: it takes a look at every object. */
const freshFor = 5000;

export class HoldingsReader {
  readonly #store: Store;
  #known: { readonly time: number; readonly holdings: Promise<Holdings> } | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** How it is now, or was a moment ago. */
  async read(): Promise<Holdings> {
    const time = performance.now();
    if (this.#known === undefined || time - this.#known.time > freshFor) {
      this.#known = { time, holdings: measure(this.#store) };
      // The next one asks again.
      this.#known.holdings.catch(() => (this.#known = undefined));
    }
    return await this.#known.holdings;
  }

  /** Something was changed. */
  forget(): void {
    this.#known = undefined;
  }
}

async function measure(store: Store): Promise<Holdings> {
  const { count, bytes } = await store.collect({ dryRun: true });
  const roots = store.roots().filter(({ target }) => store.has(target));
  const nodes = await store.graph(roots.map(({ target }) => target));
  const objects = new Map(nodes.map((node) => [node.path, node]));
  const closures = roots.map(({ target }) =>
    reached(target, (path) => objects.get(path)?.references ?? []),
  );
  const holders = new Map<StorePath, number>();
  for (const closure of closures) {
    for (const path of closure) holders.set(path, (holders.get(path) ?? 0) + 1);
  }
  const sizeOf = (paths: Iterable<StorePath>): number => {
    let size = 0;
    for (const path of paths) size += objects.get(path)?.narSize ?? 0;
    return size;
  };
  const held = roots.map((root, i) => {
    const closure = closures[i] ?? new Set<StorePath>();
    return {
      root,
      closureCount: closure.size,
      closureSize: sizeOf(closure),
      onlyHere: sizeOf([...closure].filter((path) => holders.get(path) === 1)),
    };
  });
  return {
    roots: held.toSorted((a, b) => b.onlyHere - a.onlyHere),
    heldByRoots: sizeOf(objects.keys()),
    collectableCount: count,
    collectableSize: bytes,
  };
}

function reached(
  start: StorePath,
  referencesOf: (path: StorePath) => readonly StorePath[],
): Set<StorePath> {
  const found = new Set([start]);
  // The set grows while it is walked.
  for (const path of found) for (const reference of referencesOf(path)) found.add(reference);
  return found;
}
