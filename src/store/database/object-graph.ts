/** Objects with their sizes and references, to be looked at. */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { Pacer } from "../../util/pacer.ts";
import { referenceGraph, type ReferenceGraph } from "./closure.ts";
import type { StoreDatabase } from "./open.ts";
import { integerIn, textIn } from "./row.ts";

export interface ListedObject {
  readonly path: StorePath;
  /** Bytes of its NAR. */
  readonly narSize: number;
}

export interface ObjectNode extends ListedObject {
  /** Sorted, as far as they are in the graph; the object itself included, if it refers to itself. */
  readonly references: readonly StorePath[];
}

export interface GraphOptions {
  /** What refers to the objects instead of what they refer to; default false. */
  readonly referrers?: boolean;
}

/**
 * `paths` and all they refer to (or that refers to them), directly or not, sorted by path.
 *
 * @throws KilnError `store.missing` when one of `paths` is not registered
 */
export async function objectGraph(
  database: StoreDatabase,
  paths: readonly StorePath[],
  { referrers = false }: GraphOptions = {},
): Promise<ObjectNode[]> {
  const graph = await referenceGraph(database, paths, referrers ? "referrers" : "referents");
  const references = referrers ? reversed(graph) : graph;
  const sizes = await sizesOf(database, [...graph.keys()].toSorted(compareBytes));
  return Array.from(sizes, ([path, narSize]) => ({
    path,
    narSize,
    references: (references.get(path) ?? []).toSorted(compareBytes),
  }));
}

/** Of those that are still there, in the same order. */
async function sizesOf(
  database: StoreDatabase,
  paths: readonly StorePath[],
): Promise<ReadonlyMap<StorePath, number>> {
  const find = database.prepare("select nar_size from objects where path = ?");
  const sizes = new Map<StorePath, number>();
  const pacer = new Pacer();
  for (const path of paths) {
    const row = find.get(path);
    if (row !== undefined) sizes.set(path, integerIn(row, "nar_size"));
    if (pacer.due) await pacer.pause();
  }
  return sizes;
}

function reversed(graph: ReferenceGraph): ReferenceGraph {
  const result = new Map<StorePath, StorePath[]>();
  for (const path of graph.keys()) result.set(path, []);
  for (const [path, others] of graph) for (const other of others) result.get(other)?.push(path);
  return result;
}

/** Up to `limit` objects whose paths come after `after`, sorted by path. */
export function listObjects(database: StoreDatabase, after: string, limit: number): ListedObject[] {
  const rows = database
    .prepare("select path, nar_size from objects where path > ? order by path limit ?")
    .all(after, limit);
  return rows.map((row) => ({
    path: parseStorePath(textIn(row, "path")),
    narSize: integerIn(row, "nar_size"),
  }));
}
