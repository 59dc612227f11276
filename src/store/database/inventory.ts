/** What a store holds, as figures and lists for people. */
import { digestLength, parseStorePath, type StorePath } from "../../format/store-path.ts";
import { notInStore } from "./objects.ts";
import type { ListedObject } from "./object-graph.ts";
import type { Row, StoreDatabase } from "./open.ts";
import { integerIn, textIn } from "./row.ts";

/** Counts of objects and bytes of their NARs. */
export interface Amount {
  readonly count: number;
  readonly narSize: number;
}

export interface NamedAmount extends Amount {
  readonly name: string;
}

export interface ObjectQuery {
  /** Part of the path, in any case; default: all objects. */
  readonly text?: string | undefined;
  /** `size`: the largest first; `time`: the latest first; default by path. */
  readonly sort?: "path" | "size" | "time" | undefined;
  /** How many to leave out from the beginning; default 0. */
  readonly offset?: number | undefined;
  readonly limit: number;
}

export interface InventoryEntry extends ListedObject {
  /** Milliseconds since the Unix epoch. */
  readonly registeredAt: number;
}

/** All objects. */
export function totalAmount(database: StoreDatabase): Amount {
  const row = database
    .prepare("select count(*) as number, coalesce(sum(nar_size), 0) as size from objects")
    .get();
  return amountIn(row ?? {});
}

const orders = {
  path: "path",
  size: "nar_size desc, path",
  time: "registered_at desc, path",
} as const;

/** Objects that match, and how many there are of them. */
export function searchObjects(
  database: StoreDatabase,
  { text = "", sort = "path", offset = 0, limit }: ObjectQuery,
): { total: number; objects: InventoryEntry[] } {
  const wanted = text.toLowerCase();
  const matches = "(?1 = '' or instr(lower(path), ?1) > 0)";
  const total = database
    .prepare(`select count(*) as number from objects where ${matches}`)
    .get(wanted);
  const rows = database
    .prepare(
      `select path, nar_size, registered_at from objects where ${matches} order by ${orders[sort]} limit ?2 offset ?3`,
    )
    .all(wanted, limit, offset);
  return { total: integerIn(total ?? {}, "number"), objects: rows.map(entryIn) };
}

/** The names that take most, each with all objects that have it. */
export function largestNames(database: StoreDatabase, limit: number): NamedAmount[] {
  // A path is the store directory, "/", a digest, "-" and the name.
  const rows = database
    .prepare(
      `select substr(path, length((select directory from store)) + ?1) as name, count(*) as number, sum(nar_size) as size
       from objects group by 1 order by size desc, name limit ?2`,
    )
    .all(digestLength + 3, limit);
  return rows.map((row) => ({ name: textIn(row, "name"), ...amountIn(row) }));
}

/**
 * An object and all it refers to, directly or not.
 *
 * @throws KilnError `store.missing`
 */
export function closureAmount(database: StoreDatabase, path: StorePath): Amount {
  const row = database
    .prepare(
      `with recursive reached (id) as (
         select id from objects where path = ?
         union select referent from reached join object_references on referrer = reached.id
       )
       select count(*) as number, coalesce(sum(nar_size), 0) as size from reached cross join objects on objects.id = reached.id`,
    )
    .get(path);
  const amount = amountIn(row ?? {});
  if (amount.count === 0) throw notInStore(path);
  return amount;
}

/** When the object was registered, in milliseconds since the Unix epoch; undefined for one that is not. */
export function registrationTime(database: StoreDatabase, path: StorePath): number | undefined {
  const row = database.prepare("select registered_at from objects where path = ?").get(path);
  return row === undefined ? undefined : integerIn(row, "registered_at");
}

function amountIn(row: Row): Amount {
  return { count: integerIn(row, "number"), narSize: integerIn(row, "size") };
}

function entryIn(row: Row): InventoryEntry {
  return {
    path: parseStorePath(textIn(row, "path")),
    narSize: integerIn(row, "nar_size"),
    registeredAt: integerIn(row, "registered_at"),
  };
}
