/** Objects with their sizes and references, to be looked at. */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { requireAll } from "./closure.ts";
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
export function objectGraph(
  database: StoreDatabase,
  paths: readonly StorePath[],
  { referrers = false }: GraphOptions = {},
): ObjectNode[] {
  requireAll(database, paths);
  const [from, to] = referrers ? ["referent", "referrer"] : ["referrer", "referent"];
  const rows = database
    .prepare(
      `with recursive reached (id) as (
         select objects.id from json_each(?) join objects on objects.path = value
         union select ${to} from reached join object_references on ${from} = reached.id
       )
       select objects.path, objects.nar_size, referents.path as reference
       from reached join objects on objects.id = reached.id
         left join object_references on referrer = objects.id
         left join objects as referents on referents.id = referent
       order by objects.path, referents.path`,
    )
    .all(JSON.stringify(paths));
  const nodes = new Map<string, ListedObject & { references: StorePath[] }>();
  for (const row of rows) {
    const text = textIn(row, "path");
    let node = nodes.get(text);
    if (node === undefined) {
      node = { path: parseStorePath(text), narSize: integerIn(row, "nar_size"), references: [] };
      nodes.set(text, node);
    }
    if (row["reference"] !== null) node.references.push(parseStorePath(textIn(row, "reference")));
  }
  // What refers to the paths may refer to others as well. To have the database look costs the square of the graph.
  return Array.from(nodes.values(), (node) => ({
    ...node,
    references: node.references.filter((path) => nodes.has(path)),
  }));
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
