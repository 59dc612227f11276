/**
 * Which objects nothing needs: everything that no root reaches.
 *
 * Read from the database in pages, so that others get their turn; what changes meanwhile is looked at again when an object is
 * about to go. Objects are numbered by position, in the order of their ids, and kept in typed arrays: about 30 bytes for each of
 * them, and 4 for each reference.
 */
import type { StorePath } from "../format/store-path.ts";
import { Pacer } from "../util/pacer.ts";
import type { StoreDatabase } from "./database/open.ts";
import { integerIn } from "./database/row.ts";
import { NumberList } from "./number-list.ts";

/** Rows that are read at once. */
const pageSize = 1000;

/** How many positions are sorted at once. */
const runLength = 20_000;

/** An object that may go. */
export interface DeadObject {
  readonly id: number;
  /** Bytes of its NAR. */
  readonly narSize: number;
}

/** What is to be kept: the objects at `roots` and all used since `cutoff` (milliseconds since the Unix epoch), with what they refer to. */
export interface Keep {
  readonly roots: Iterable<StorePath>;
  readonly cutoff: number;
  /** Uses that the database does not know of yet. */
  readonly uses: Iterable<readonly [path: StorePath, time: number]>;
  readonly signal?: AbortSignal | undefined;
}

/** @throws the signal's reason */
export async function findReachability(database: StoreDatabase, keep: Keep): Promise<Reachability> {
  const objects = await readObjects(database, keep.signal);
  await noteUses(database, objects, keep.uses);
  const edges = await readReferences(database, objects, keep.signal);
  await mark(objects, edges, await positionsOf(database, objects, keep.roots));
  const rooted = sum(objects, 1).count;
  const recent = [...objects.uses.keys()].filter((i) => (objects.uses[i] ?? 0) >= keep.cutoff);
  await mark(objects, edges, recent);
  return new Reachability(objects, await referrersFirst(objects, edges), rooted);
}

export class Reachability {
  /** How many objects stay, and the bytes of their NARs. */
  readonly live: { readonly count: number; readonly bytes: number };
  /** How many may go. */
  readonly dead: { readonly count: number; readonly bytes: number };
  /** How many of those that stay no root needs: they were used lately. */
  readonly recent: number;
  readonly #objects: Objects;
  readonly #order: Uint32Array;

  constructor(objects: Objects, order: Uint32Array, rooted: number) {
    this.#objects = objects;
    this.#order = order;
    this.live = sum(objects, 1);
    this.dead = sum(objects, 0);
    this.recent = this.live.count - rooted;
  }

  /** What may go, nothing before what refers to it. */
  *referrersFirst(): Generator<DeadObject, void, undefined> {
    for (const i of this.#order) yield this.#at(i);
  }

  /** The same, the least recently used first. What something dead refers to counts as used when that was. */
  async *leastUsedFirst(): AsyncGenerator<DeadObject, void, undefined> {
    const { uses } = this.#objects;
    const order = this.#order;
    // By use, then as referrers come first. Runs are sorted one by one, and merged as far as they are asked for.
    const compare = (a: number, b: number): number =>
      (uses[order[a] ?? 0] ?? 0) - (uses[order[b] ?? 0] ?? 0) || a - b;
    const runs: { readonly ranks: Uint32Array; at: number }[] = [];
    const pacer = new Pacer();
    for (let start = 0; start < order.length; start += runLength) {
      const length = Math.min(runLength, order.length - start);
      const ranks = Uint32Array.from({ length }, (_, i) => start + i);
      runs.push({ ranks: ranks.toSorted(compare), at: 0 });
      await pacer.pause();
    }
    for (;;) {
      let best: (typeof runs)[number] | undefined;
      for (const run of runs) {
        if (run.at === run.ranks.length) continue;
        const isBetter =
          best === undefined || compare(run.ranks[run.at] ?? 0, best.ranks[best.at] ?? 0) < 0;
        if (isBetter) best = run;
      }
      if (best === undefined) return;
      yield this.#at(order[best.ranks[best.at++] ?? 0] ?? 0);
    }
  }

  /** Whether the object with this id may go. */
  mayGo(id: number): boolean {
    const i = positionOf(this.#objects.ids, id);
    return i !== undefined && this.#objects.isLive[i] !== 1;
  }

  #at(i: number): DeadObject {
    const { ids, sizes } = this.#objects;
    return { id: ids[i] ?? 0, narSize: sizes[i] ?? 0 };
  }
}

/** All objects, by position. */
interface Objects {
  readonly ids: Float64Array;
  readonly sizes: Float64Array;
  /** When each was last used, in milliseconds since the Unix epoch. */
  readonly uses: Float64Array;
  /** 1: kept. */
  readonly isLive: Uint8Array;
}

/** References by position: those of `i` are `referents` from `first[i]` to before `first[i + 1]`. */
interface Edges {
  readonly first: Float64Array;
  readonly referents: Float64Array;
}

async function readObjects(
  database: StoreDatabase,
  signal: AbortSignal | undefined,
): Promise<Objects> {
  const page = database.prepare(
    `select id, nar_size, max(used_at, registered_at) from objects where id > ? order by id limit ${pageSize}`,
  );
  const [ids, sizes, uses] = [new NumberList(), new NumberList(), new NumberList()];
  const pacer = new Pacer();
  for (let last = -1; ;) {
    const rows = page.numbers(last);
    for (const [id = 0, size = 0, use = 0] of rows) {
      ids.push(id);
      sizes.push(size);
      uses.push(use);
      last = id;
    }
    if (rows.length < pageSize) break;
    signal?.throwIfAborted();
    await pacer.pause();
  }
  const isLive = new Uint8Array(ids.length);
  return { ids: ids.values(), sizes: sizes.values(), uses: uses.values(), isLive };
}

async function noteUses(
  database: StoreDatabase,
  { ids, uses }: Objects,
  noted: Keep["uses"],
): Promise<void> {
  const find = database.prepare("select id from objects where path = ?");
  const pacer = new Pacer();
  for (const [path, time] of noted) {
    const row = find.get(path);
    const i = row && positionOf(ids, integerIn(row, "id"));
    if (i !== undefined) uses[i] = Math.max(uses[i] ?? 0, time);
    await pacer.pause();
  }
}

async function positionsOf(
  database: StoreDatabase,
  { ids }: Objects,
  paths: Iterable<StorePath>,
): Promise<number[]> {
  const find = database.prepare("select id from objects where path = ?");
  const pacer = new Pacer();
  const positions: number[] = [];
  for (const path of paths) {
    const row = find.get(path);
    const i = row && positionOf(ids, integerIn(row, "id"));
    if (i !== undefined) positions.push(i);
    await pacer.pause();
  }
  return positions;
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
  const [first, referents] = [new NumberList(), new NumberList()];
  first.push(0);
  const pacer = new Pacer();
  for (let lastReferrer = -1, lastReferent = -1; ;) {
    const rows = page.numbers(lastReferrer, lastReferent);
    for (const [referrer = 0, referent = 0] of rows) {
      while ((ids[first.length - 1] ?? Infinity) < referrer) first.push(referents.length);
      const at = first.length - 1;
      const position = positionOf(ids, referent);
      // Objects that came after their page was read have no position, and are kept as referrers when it matters.
      if (ids[at] === referrer && position !== undefined && position !== at) {
        referents.push(position);
      }
      lastReferrer = referrer;
      lastReferent = referent;
    }
    if (rows.length < pageSize) break;
    signal?.throwIfAborted();
    await pacer.pause();
  }
  while (first.length <= ids.length) first.push(referents.length);
  return { first: first.values(), referents: referents.values() };
}

function positionOf(ids: Float64Array, id: number): number | undefined {
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
async function mark(
  { isLive }: Objects,
  { first, referents }: Edges,
  from: Iterable<number>,
): Promise<void> {
  const pending: number[] = [];
  for (const i of from) {
    if (isLive[i] === 1) continue;
    isLive[i] = 1;
    pending.push(i);
  }
  const pacer = new Pacer();
  for (let steps = 1; ; steps++) {
    const object = pending.pop();
    if (object === undefined) return;
    const end = first[object + 1] ?? 0;
    for (let at = first[object] ?? 0; at < end; at++) {
      const referent = referents[at] ?? 0;
      if (isLive[referent] === 1) continue;
      isLive[referent] = 1;
      pending.push(referent);
    }
    if (steps % pageSize === 0) await pacer.pause();
  }
}

/** The dead objects, none before a dead one that refers to it; each gets the last use of its referrers if that is later. */
async function referrersFirst(
  { isLive, uses }: Objects,
  { first, referents }: Edges,
): Promise<Uint32Array> {
  const waitingFor = new Uint32Array(isLive.length);
  const pacer = new Pacer();
  let dead = 0;
  for (let i = 0; i < isLive.length; i++) {
    if (i % pageSize === 0) await pacer.pause();
    if (isLive[i] === 1) continue;
    dead++;
    for (let at = first[i] ?? 0; at < (first[i + 1] ?? 0); at++) {
      const referent = referents[at] ?? 0;
      waitingFor[referent] = (waitingFor[referent] ?? 0) + 1;
    }
  }
  const order = new Uint32Array(dead);
  let length = 0;
  for (let i = 0; i < isLive.length; i++) {
    if (isLive[i] !== 1 && waitingFor[i] === 0) order[length++] = i;
  }
  // The list grows while it is walked: an object follows when its last referrer is placed.
  for (let step = 0; step < length; step++) {
    if (step % pageSize === 0) await pacer.pause();
    const i = order[step] ?? 0;
    for (let at = first[i] ?? 0; at < (first[i + 1] ?? 0); at++) {
      const referent = referents[at] ?? 0;
      if (isLive[referent] === 1) continue;
      uses[referent] = Math.max(uses[referent] ?? 0, uses[i] ?? 0);
      const left = (waitingFor[referent] ?? 0) - 1;
      waitingFor[referent] = left;
      if (left === 0) order[length++] = referent;
    }
  }
  return order;
}

function sum({ isLive, sizes }: Objects, live: 0 | 1): { count: number; bytes: number } {
  let count = 0;
  let bytes = 0;
  for (let i = 0; i < isLive.length; i++) {
    if (isLive[i] !== live) continue;
    count++;
    bytes += sizes[i] ?? 0;
  }
  return { count, bytes };
}
