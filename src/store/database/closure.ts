/** What objects reach through their references, and what reaches them. */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { notInStore } from "./objects.ts";
import type { StoreDatabase } from "./open.ts";
import { integerIn, textIn } from "./row.ts";

/** An object and what it refers to, as far as both are in the graph. */
export type ReferenceGraph = ReadonlyMap<StorePath, readonly StorePath[]>;

/**
 * All objects reachable from `paths`, with themselves, sorted.
 *
 * @throws KilnError `store.missing` when one of `paths` is not registered
 */
export function closureOf(database: StoreDatabase, paths: Iterable<StorePath>): StorePath[] {
  const roots = [...paths];
  requireAll(database, roots);
  const rows = database
    .prepare(
      `with recursive reached (id) as (
         select objects.id from json_each(?) join objects on objects.path = value
         union select referent from reached join object_references on referrer = reached.id
       )
       select objects.path from reached join objects on objects.id = reached.id`,
    )
    .all(JSON.stringify(roots));
  return rows.map((row) => parseStorePath(textIn(row, "path"))).toSorted(compareBytes);
}

/**
 * The closure of `paths` with its references.
 *
 * @throws KilnError `store.missing` when one of `paths` is not registered
 */
export function referenceGraph(
  database: StoreDatabase,
  paths: readonly StorePath[],
): ReferenceGraph {
  requireAll(database, paths);
  return graphOf(
    database,
    `select objects.id from json_each(?) join objects on objects.path = value
     union select referent from reached join object_references on referrer = reached.id`,
    paths,
  );
}

/**
 * `paths` and everything that refers to them, directly or not, each before all that it refers to. Unregistered ones are left
 * out.
 */
export function referrersFirst(database: StoreDatabase, paths: Iterable<StorePath>): StorePath[] {
  const graph = graphOf(
    database,
    `select objects.id from json_each(?) join objects on objects.path = value
     union select referrer from reached join object_references on referent = reached.id`,
    [...paths],
  );
  const waitingFor = new Map<StorePath, number>();
  for (const [path, referents] of graph) {
    for (const referent of referents) {
      if (referent !== path) waitingFor.set(referent, (waitingFor.get(referent) ?? 0) + 1);
    }
  }
  const order = [...graph.keys()].filter((path) => !waitingFor.has(path));
  // The list grows while it is walked: an object follows when its last referrer is placed.
  for (const path of order) {
    for (const referent of graph.get(path) ?? []) {
      if (referent === path) continue;
      const left = (waitingFor.get(referent) ?? 0) - 1;
      waitingFor.set(referent, left);
      if (left === 0) order.push(referent);
    }
  }
  return order;
}

/** The objects that the recursive query `reached` finds from `paths`, sorted, with the references among them. */
function graphOf(
  database: StoreDatabase,
  reached: string,
  paths: readonly StorePath[],
): ReferenceGraph {
  const rows = database
    .prepare(
      `with recursive reached (id) as (${reached})
       select objects.id, objects.path, referent from reached
       join objects on objects.id = reached.id
       left join object_references on referrer = objects.id
       order by objects.path`,
    )
    .all(JSON.stringify(paths));
  const pathsByID = new Map<number, StorePath>();
  const referents = new Map<StorePath, number[]>();
  for (const row of rows) {
    const id = integerIn(row, "id");
    let path = pathsByID.get(id);
    if (path === undefined) {
      path = parseStorePath(textIn(row, "path"));
      pathsByID.set(id, path);
      referents.set(path, []);
    }
    if (row["referent"] !== null) referents.get(path)?.push(integerIn(row, "referent"));
  }
  const graph = new Map<StorePath, StorePath[]>();
  for (const [path, ids] of referents) {
    const known = ids.map((id) => pathsByID.get(id)).filter((found) => found !== undefined);
    graph.set(path, known);
  }
  return graph;
}

/** @throws KilnError `store.missing` when one of `paths` is not registered */
export function requireAll(database: StoreDatabase, paths: readonly StorePath[]): void {
  const missing = database
    .prepare(
      `select value from json_each(?)
       where not exists (select 1 from objects where objects.path = value) limit 1`,
    )
    .get(JSON.stringify(paths));
  if (missing !== undefined) throw notInStore(textIn(missing, "value"));
}
