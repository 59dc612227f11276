/**
 * What objects reach through their references, and what reaches them. `cross join` has SQLite begin with the few that are asked for: left
 * alone it may think that they are more than there are objects, and look at all of those.
 */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { Pacer } from "../../util/pacer.ts";
import { notInStore } from "./objects.ts";
import type { Row, StoreDatabase } from "./open.ts";
import { optionalTextIn, textIn } from "./row.ts";
import type { Statement } from "./statement.ts";

/** Objects that are looked at at once. */
const pageSize = 100;

/** Where fewer than this are known to come, as along a chain, those that they lead to are looked at with them ... */
const few = 16;

/** ... up to so many. */
const mostAhead = 400;

/** Rows after which the next look goes less far, so that others get their turn. */
const manyRows = 2000;

/** Rows after which a look at more than a page ends: it holds up everybody. */
const mostRows = 20_000;

interface Steps {
  /** One step from each of some objects. */
  readonly near: string;
  /** One step from each of some objects, and of those that they lead to, up to a number of objects; no target where there is none. */
  readonly far: string;
}

function stepsFrom(here: "referrer" | "referent", there: "referrer" | "referent"): Steps {
  return {
    near: `select source.path as source, target.path as target
      from json_each(?) join objects as source on source.path = value
      join object_references on ${here} = source.id join objects as target on target.id = ${there}`,
    far: `with recursive reached (id) as (
        select objects.id from json_each(?) join objects on objects.path = value
        union select ${there} from reached join object_references on ${here} = reached.id
        limit ?
      )
      select source.path as source, target.path as target
      from reached cross join objects as source on source.id = reached.id
      left join object_references on ${here} = reached.id
      left join objects as target on target.id = ${there}`,
  };
}

const steps: Readonly<Record<Direction, Steps>> = {
  referents: stepsFrom("referrer", "referent"),
  referrers: stepsFrom("referent", "referrer"),
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
  const near = database.prepare(steps[direction].near);
  const far = database.prepare(steps[direction].far);
  const graph = new Map<StorePath, StorePath[]>();
  /** Those that were reached and not looked at. By path: what has an id now may be another object a moment later. */
  const open = new Set(paths);
  const pacer = new Pacer();
  let ahead = few;
  while (open.size > 0) {
    const some = [...open.values().take(pageSize)];
    const list = JSON.stringify(some);
    const isFar = some.length < few;
    const { found, count, isCut } = isFar
      ? look(far, list, some.length + ahead)
      : edgesIn(near.all(list));
    let known = 0;
    for (const [path, targets] of found) {
      open.delete(path);
      if (graph.has(path)) known++;
      else graph.set(path, targets);
    }
    for (const path of some) {
      // It leads nowhere; or it is gone by now.
      if (!isCut && open.delete(path)) graph.set(path, []);
    }
    for (const targets of found.values()) {
      for (const target of targets) if (!graph.has(target)) open.add(target);
    }
    // Where ways meet again, what was looked at already is looked at once more.
    const isNew = known * 8 <= found.size && count < manyRows;
    if (isFar) ahead = isNew ? Math.min(mostAhead, ahead * 2 + 1) : ahead >> 2;
    await pacer.pause();
  }
  return graph;
}

/** What was found, and whether there is more: then what is missing was not looked at. */
interface Look {
  readonly found: ReadonlyMap<StorePath, StorePath[]>;
  /** How many rows that were. */
  readonly count: number;
  readonly isCut: boolean;
}

function look(far: Statement, list: string, objects: number): Look {
  // To take rows one by one is slower.
  if (objects <= pageSize) return edgesIn(far.all(list, objects));
  return edgesIn(far.iterate(list, objects), mostRows);
}

/** Those of one source come together. What comes after `most` rows is left out, but for the rest of a source. */
function edgesIn(rows: Iterable<Row>, most = Infinity): Look {
  const found = new Map<StorePath, StorePath[]>();
  let count = 0;
  for (const row of rows) {
    const source = parseStorePath(textIn(row, "source"));
    let targets = found.get(source);
    if (targets === undefined) {
      if (count >= most) return { found, count, isCut: true };
      found.set(source, (targets = []));
    }
    const target = optionalTextIn(row, "target");
    if (target !== undefined) targets.push(parseStorePath(target));
    count++;
  }
  return { found, count, isCut: false };
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
