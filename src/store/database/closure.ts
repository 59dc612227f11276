/**
 * What objects reach through their references, and what reaches them. `cross join` has SQLite begin with the few that are asked for: left
 * alone it may think that they are more than there are objects, and look at all of those.
 */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { Pacer } from "../../util/pacer.ts";
import { notInStore } from "./objects.ts";
import type { StoreDatabase } from "./open.ts";
import { textIn } from "./row.ts";

/** Objects that are looked at at once. */
const pageSize = 100;

const steps: Readonly<Record<Direction, string>> = {
  referents: `select referrers.path as source, referents.path as target
    from json_each(?) join objects as referrers on referrers.path = value
    join object_references on referrer = referrers.id join objects as referents on referents.id = referent`,
  referrers: `select referents.path as source, referrers.path as target
    from json_each(?) join objects as referents on referents.path = value
    join object_references on referent = referents.id join objects as referrers on referrers.id = referrer`,
};

/** Which way to go along references. */
export type Direction = "referents" | "referrers";

/** The objects that were reached, each with those one step further. */
export type ReferenceGraph = ReadonlyMap<StorePath, readonly StorePath[]>;

/**
 * All objects reachable from `paths`, with themselves, sorted.
 *
 * @throws KilnError `store.missing` when one of `paths` is not registered
 */
export function closureOf(database: StoreDatabase, paths: Iterable<StorePath>): StorePath[] {
  const roots = [...paths];
  if (roots.length === 0) return [];
  requireAll(database, roots);
  const rows = database
    .prepare(
      `with recursive reached (id) as (
         select objects.id from json_each(?) join objects on objects.path = value
         union select referent from reached join object_references on referrer = reached.id
       )
       select objects.path from reached cross join objects on objects.id = reached.id`,
    )
    .all(JSON.stringify(roots));
  return rows.map((row) => parseStorePath(textIn(row, "path"))).toSorted(compareBytes);
}

/**
 * The closure of `paths` with its references; or, the other way, what refers to them, and by what each is referred to. Found bit by bit,
 * so that others get their turn, for which it may grow or shrink meanwhile.
 *
 * @throws KilnError `store.missing` when one of `paths` is not registered
 */
export async function referenceGraph(
  database: StoreDatabase,
  paths: readonly StorePath[],
  direction: Direction = "referents",
): Promise<ReferenceGraph> {
  requireAll(database, paths);
  const step = database.prepare(steps[direction]);
  const graph = new Map<StorePath, StorePath[]>(paths.map((path) => [path, []]));
  const reached = [...graph.keys()];
  const pacer = new Pacer();
  for (let at = 0; at < reached.length;) {
    // By path: what has an id now may be another object a moment later.
    const some = reached.slice(at, at + pageSize);
    at += some.length;
    for (const row of step.all(JSON.stringify(some))) {
      const from = parseStorePath(textIn(row, "source"));
      const to = parseStorePath(textIn(row, "target"));
      graph.get(from)?.push(to);
      if (graph.has(to)) continue;
      graph.set(to, []);
      reached.push(to);
    }
    await pacer.pause();
  }
  return graph;
}

/** Whether `paths` are registered, all of them, and nothing else refers to them. */
export function isDetached(database: StoreDatabase, paths: readonly StorePath[]): boolean {
  const found = database
    .prepare(
      `with chosen (id) as materialized (
         select objects.id from json_each(?) join objects on objects.path = value
       )
       select (select count(*) from chosen) as count, exists (
         select 1 from chosen cross join object_references on referent = chosen.id
         where referrer not in (select id from chosen)
       ) as is_referred_to`,
    )
    .get(JSON.stringify(paths));
  return found?.["count"] === paths.length && found["is_referred_to"] === 0;
}

/**
 * `paths` and everything that refers to them, directly or not, each before all that it refers to.
 *
 * @throws KilnError `store.missing` when one of `paths` is not registered
 */
export async function referrersFirst(
  database: StoreDatabase,
  paths: Iterable<StorePath>,
): Promise<StorePath[]> {
  const graph = await referenceGraph(database, [...paths], "referrers");
  const waitingFor = new Map<StorePath, number>();
  const referents = new Map<StorePath, StorePath[]>();
  for (const [path, referrers] of graph) {
    const others = referrers.filter((referrer) => referrer !== path);
    waitingFor.set(path, others.length);
    for (const referrer of others) {
      const known = referents.get(referrer);
      if (known === undefined) referents.set(referrer, [path]);
      else known.push(path);
    }
  }
  const order = [...graph.keys()]
    .filter((path) => waitingFor.get(path) === 0)
    .toSorted(compareBytes);
  // The list grows while it is walked: an object follows when its last referrer is placed.
  for (const path of order) {
    for (const referent of referents.get(path) ?? []) {
      const left = (waitingFor.get(referent) ?? 0) - 1;
      waitingFor.set(referent, left);
      if (left === 0) order.push(referent);
    }
  }
  return order;
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
