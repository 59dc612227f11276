/**
 * Which objects nothing needs: everything that no root reaches.
 *
 * Read from the database in pages, so that others get their turn; what changes meanwhile is looked at again when an object is
 * about to go. Memory is some tens of bytes for each object and reference.
 */
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import { Pacer } from "../util/pacer.ts";
import type { StoreDatabase } from "./database/open.ts";
import { integerIn, textIn } from "./database/row.ts";

/** Rows that are read at once. */
const pageSize = 2000;

/** An object that may go. */
export interface DeadObject {
  readonly id: number;
  /** Bytes of its NAR. */
  readonly narSize: number;
  /** When it, or something dead that refers to it, was last used: milliseconds since the Unix epoch. */
  readonly lastUse: number;
}

export interface Reachability {
  /** In an order in which they can go: the least recently used first, and none before what refers to it. */
  readonly dead: readonly DeadObject[];
  /** How many objects stay, and the bytes of their NARs. */
  readonly live: { readonly count: number; readonly bytes: number };
  /** How many of those no root needs: they were used lately. */
  readonly recent: number;
}

/** What is to be kept: `isRoot` objects and all used since `cutoff` (milliseconds since the Unix epoch), with what they refer to. */
export interface Keep {
  readonly isRoot: (path: StorePath) => boolean;
  readonly cutoff: number;
  /** When the path was last used, where the database does not know of it yet. */
  readonly lastUse: (path: StorePath) => number;
  readonly signal?: AbortSignal | undefined;
}

export async function findDead(database: StoreDatabase, keep: Keep): Promise<Reachability> {
  const objects = await readObjects(database, keep);
  const edges = await readReferences(database, objects, keep.signal);
  await mark(objects, edges, objects.roots);
  const rooted = countLive(objects);
  await mark(objects, edges, objects.recent);
  const order = await referrersFirst(objects, edges);
  let count = 0;
  let bytes = 0;
  for (let i = 0; i < objects.ids.length; i++) {
    if (objects.isLive[i] !== 1) continue;
    count++;
    bytes += objects.sizes[i] ?? 0;
  }
  return {
    dead: byLastUse(objects, order),
    live: { count, bytes },
    recent: count - rooted,
  };
}

function countLive({ isLive }: Objects): number {
  return isLive.reduce((count, live) => count + live, 0);
}

/** All objects, by their position among all ids. */
interface Objects {
  readonly ids: readonly number[];
  readonly sizes: readonly number[];
  readonly uses: number[];
  /** 1: kept. */
  readonly isLive: Uint8Array;
  /** Where the roots are, and the other objects that were used lately. */
  readonly roots: readonly number[];
  readonly recent: readonly number[];
}

/** References by position: those of `i` are `referents` from `first[i]` to before `first[i + 1]`. */
interface Edges {
  readonly first: readonly number[];
  readonly referents: readonly number[];
}

async function readObjects(database: StoreDatabase, keep: Keep): Promise<Objects> {
  const page = database.prepare(
    `select id, path, nar_size, max(used_at, registered_at) as used_at from objects
     where id > ? order by id limit ${pageSize}`,
  );
  const ids: number[] = [];
  const sizes: number[] = [];
  const uses: number[] = [];
  const roots: number[] = [];
  const recent: number[] = [];
  const pacer = new Pacer();
  for (let last = -1; ;) {
    const rows = page.all(last);
    for (const row of rows) {
      const path = parseStorePath(textIn(row, "path"));
      const lastUse = Math.max(integerIn(row, "used_at"), keep.lastUse(path));
      if (keep.isRoot(path)) roots.push(ids.length);
      else if (lastUse >= keep.cutoff) recent.push(ids.length);
      ids.push(integerIn(row, "id"));
      sizes.push(integerIn(row, "nar_size"));
      uses.push(lastUse);
    }
    if (rows.length < pageSize) break;
    last = ids.at(-1) ?? last;
    keep.signal?.throwIfAborted();
    await pacer.pause();
  }
  return { ids, sizes, uses, isLive: new Uint8Array(ids.length), roots, recent };
}

async function readReferences(
  database: StoreDatabase,
  { ids }: Objects,
  signal: AbortSignal | undefined,
): Promise<Edges> {
  const page = database.prepare(
    `select referrer, referent from object_references
     where (referrer, referent) > (?, ?) order by referrer, referent limit ${pageSize}`,
  );
  const first: number[] = [0];
  const referents: number[] = [];
  const pacer = new Pacer();
  let at = 0; // position of the referrer whose references are being read
  for (let referrer = -1, referent = -1; ;) {
    const rows = page.all(referrer, referent);
    for (const row of rows) {
      referrer = integerIn(row, "referrer");
      referent = integerIn(row, "referent");
      while ((ids[at] ?? Infinity) < referrer) first[++at] = referents.length;
      const position = positionOf(ids, referent);
      // Objects that came after their page was read have no position, and are kept as referrers when it matters.
      if (ids[at] === referrer && position !== undefined && position !== at) {
        referents.push(position);
      }
    }
    if (rows.length < pageSize) break;
    signal?.throwIfAborted();
    await pacer.pause();
  }
  while (at < ids.length) first[++at] = referents.length;
  return { first, referents };
}

function positionOf(ids: readonly number[], id: number): number | undefined {
  let low = 0;
  let high = ids.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = ids[middle] ?? Infinity;
    if (found === id) return middle;
    if (found < id) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

/** Makes live what is at the positions `from`, and all that it refers to. */
async function mark({ isLive }: Objects, edges: Edges, from: readonly number[]): Promise<void> {
  const pending = from.filter((i) => isLive[i] !== 1);
  for (const i of pending) isLive[i] = 1;
  const pacer = new Pacer();
  for (let steps = 0; ; steps++) {
    const object = pending.pop();
    if (object === undefined) return;
    for (const referent of referentsOf(edges, object)) {
      if (isLive[referent] === 1) continue;
      isLive[referent] = 1;
      pending.push(referent);
    }
    if (steps % pageSize === 0) await pacer.pause();
  }
}

/** The dead objects, none before a dead one that refers to it; each gets the last use of its referrers if that is later. */
async function referrersFirst({ isLive, uses }: Objects, edges: Edges): Promise<number[]> {
  const waitingFor = new Uint32Array(isLive.length);
  const dead: number[] = [];
  for (let i = 0; i < isLive.length; i++) {
    if (isLive[i] === 1) continue;
    dead.push(i);
    for (const referent of referentsOf(edges, i)) {
      if (isLive[referent] === 1) continue;
      waitingFor[referent] = (waitingFor[referent] ?? 0) + 1;
    }
  }
  const order = dead.filter((i) => waitingFor[i] === 0);
  const pacer = new Pacer();
  let steps = 0;
  // The list grows while it is walked: an object follows when its last referrer is placed.
  for (const i of order) {
    for (const referent of referentsOf(edges, i)) {
      if (isLive[referent] === 1) continue;
      uses[referent] = Math.max(uses[referent] ?? 0, uses[i] ?? 0);
      const left = (waitingFor[referent] ?? 0) - 1;
      waitingFor[referent] = left;
      if (left === 0) order.push(referent);
    }
    if (++steps % pageSize === 0) await pacer.pause();
  }
  return order;
}

function byLastUse({ ids, sizes, uses }: Objects, order: readonly number[]): DeadObject[] {
  // Sorting is stable, and nothing was used before what refers to it: referrers stay first.
  return order
    .toSorted((a, b) => (uses[a] ?? 0) - (uses[b] ?? 0))
    .map((i) => ({ id: ids[i] ?? 0, narSize: sizes[i] ?? 0, lastUse: uses[i] ?? 0 }));
}

function* referentsOf({ first, referents }: Edges, i: number): Generator<number, void, undefined> {
  const end = first[i + 1] ?? 0;
  for (let at = first[i] ?? 0; at < end; at++) {
    const referent = referents[at];
    if (referent !== undefined) yield referent;
  }
}
