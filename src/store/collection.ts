/**
 * Garbage collection: removing what no root needs, the least recently used first.
 *
 * What is to go is found out beforehand, from a picture of the store that may be old by the time an object's turn comes. What decides
 * is looked at then, in the transaction that removes it: nothing refers to it, nobody holds it, it is no root, and it was not used
 * since the collection began. Since referrers go first, that keeps everything that anything kept needs.
 */
import { freeBytes } from "../files/free-bytes.ts";
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { referrersFirst } from "./database/closure.ts";
import { notInStore } from "./database/objects.ts";
import type { ListedObject } from "./database/object-graph.ts";
import { integerIn, textIn } from "./database/row.ts";
import { takeOut } from "./deletion.ts";
import { findRoots, keptLinks } from "./lasting-roots.ts";
import type { StoreParts } from "./parts.ts";
import { lockAll } from "./placement.ts";
import { findReachability, type DeadObject, type Reachability } from "./reachability.ts";

/** What to collect; by default all that no root needs and that was not used in the last ten minutes. */
export interface CollectOptions {
  /** Keep what was used within this many milliseconds; default ten minutes, with `only` 0. Running builds keep what they use anyway. */
  readonly olderThan?: number | undefined;
  /** Stop as soon as the objects' NARs have this many bytes in all. */
  readonly maxSize?: number | undefined;
  /** Stop as soon as the store's file system has this many bytes free. */
  readonly keepFree?: number | undefined;
  /** Only these, and what refers to them. */
  readonly only?: readonly StorePath[] | undefined;
  /** Only tell what would go; default false. */
  readonly dryRun?: boolean | undefined;
  /** Ends the collection; what was removed stays removed. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: CollectProgress) => void) | undefined;
}

export interface CollectProgress {
  /** Objects removed so far, and those that may be in all. */
  readonly done: number;
  readonly total: number;
  /** Bytes of the removed objects' NARs. */
  readonly bytes: number;
}

export interface Collected {
  /** What was removed (with `dryRun`: what would be), at most {@link mostListed} of it. */
  readonly removed: readonly ListedObject[];
  /** How much that is in all; bytes are those of NARs. */
  readonly count: number;
  readonly bytes: number;
  /** What is left. */
  readonly left: { readonly count: number; readonly bytes: number };
  /** How many of those no root needs: they stay because they were used lately. */
  readonly recent: number;
}

export const mostListed = 100_000;

/** Milliseconds that an object is left alone after it was used. */
const defaultAge = 10 * 60_000;

/** Objects that go in one transaction. */
const batchSize = 100;

/**
 * Removes what is not needed.
 *
 * @throws KilnError `store.missing` and `gc.alive` when one of `only` is not there or needed; the signal's reason
 */
export async function collect(parts: StoreParts, options: CollectOptions = {}): Promise<Collected> {
  const { usage, roots, lastingRoots, database } = parts;
  const { only, signal, dryRun = false, olderThan = only === undefined ? defaultAge : 0 } = options;
  if (!dryRun) await usage.forgetFuture();
  const cutoff = Math.min(usage.floor, Date.now() - olderThan);
  const kept = dryRun ? keptLinks(parts) : await findRoots(parts);
  const found = await findReachability(database, {
    roots: [...kept.map(({ target }) => target), ...roots.all()],
    cutoff,
    uses: usage.noted(),
    signal,
  });
  const goal = new Goal(parts, options, found);
  const dead =
    only === undefined
      ? goal.candidates()
      : (await restrict(parts, found, only))[Symbol.iterator]();
  const isFree = (path: StorePath): boolean => {
    const lastUse = usage.lastUse(path);
    return (
      lastUse !== undefined && lastUse < cutoff && !roots.holds(path) && !lastingRoots.has(path)
    );
  };
  const removed: ListedObject[] = [];
  let count = 0;
  let bytes = 0;
  const total = only?.length ?? found.dead.count;
  for (;;) {
    signal?.throwIfAborted();
    const batch = await goal.next(dead, bytes);
    if (batch.length === 0) break;
    const gone = dryRun ? pathsOf(parts, batch) : await removeBatch(parts, batch, isFree);
    for (const object of gone) {
      count++;
      bytes += object.narSize;
      if (removed.length < mostListed) removed.push(object);
    }
    options.onProgress?.({ done: count, total: Math.max(total, count), bytes });
  }
  // Only what is gone from the disk is freed.
  if (!dryRun) await parts.files.settled();
  const { live } = found;
  return {
    removed,
    count,
    bytes,
    left: {
      count: live.count + found.dead.count - count,
      bytes: live.bytes + found.dead.bytes - bytes,
    },
    recent: found.recent,
  };
}

/** How much has to go: which of the dead objects come next. */
class Goal {
  readonly #parts: StoreParts;
  readonly #found: Reachability;
  readonly #keepFree: number | undefined;
  readonly #dryRun: boolean;
  /** Bytes of NARs that have to go at least; undefined when that is no goal. */
  readonly #surplus: number | undefined;

  constructor(parts: StoreParts, options: CollectOptions, found: Reachability) {
    const { maxSize, keepFree, dryRun = false } = options;
    this.#parts = parts;
    this.#found = found;
    this.#keepFree = keepFree;
    this.#dryRun = dryRun;
    const { live, dead } = found;
    if (maxSize !== undefined) this.#surplus = live.bytes + dead.bytes - maxSize;
  }

  /** What may go, in the order in which it has to. Where all goes, it does not matter what was used when. */
  candidates(): Iterator<DeadObject> | AsyncIterator<DeadObject> {
    const isAll = this.#surplus === undefined && this.#keepFree === undefined;
    return isAll ? this.#found.referrersFirst() : this.#found.leastUsedFirst();
  }

  /** The next of `dead` to go after `bytes` have gone; none when the goal is reached. */
  async next(
    dead: Iterator<DeadObject> | AsyncIterator<DeadObject>,
    bytes: number,
  ): Promise<readonly DeadObject[]> {
    const wanted = await this.#wanted(bytes);
    const batch: DeadObject[] = [];
    for (let sum = 0; batch.length < batchSize && sum < wanted;) {
      const next = await dead.next();
      if (next.done === true) break;
      batch.push(next.value);
      sum += next.value.narSize;
    }
    return batch;
  }

  /** How many bytes must go yet; Infinity when all must. */
  async #wanted(bytes: number): Promise<number> {
    if (this.#surplus === undefined && this.#keepFree === undefined) return Infinity;
    const surplus = this.#surplus === undefined ? 0 : this.#surplus - bytes;
    if (this.#keepFree === undefined) return surplus;
    if (!this.#dryRun) await this.#parts.files.settled();
    const missing = this.#keepFree - freeBytes(this.#parts.files.root) - (this.#dryRun ? bytes : 0);
    return Math.max(surplus, missing);
  }
}

/** @returns what went: whatever is needed again, or in use, stays */
async function removeBatch(
  parts: StoreParts,
  batch: readonly DeadObject[],
  isFree: (path: StorePath) => boolean,
): Promise<ListedObject[]> {
  // What is locked is being written or removed by somebody: it is in use.
  const objects = pathsOf(parts, batch).filter(({ path }) => !parts.locks.isLocked(path));
  const candidates = objects.map(({ path }) => path);
  using _locks = await lockAll(parts, candidates);
  const gone = new Set(
    await takeOut(parts, candidates, () => {
      const doomed = new Set<StorePath>();
      for (const path of candidates) {
        const isNeeded = parts.objects.referrers(path).some((referrer) => !doomed.has(referrer));
        if (!isNeeded && isFree(path)) doomed.add(path);
      }
      return [...doomed];
    }),
  );
  return objects.filter(({ path }) => gone.has(path));
}

/** Those of the objects that are still there. */
function pathsOf(parts: StoreParts, batch: readonly DeadObject[]): ListedObject[] {
  const find = parts.database.prepare("select path from objects where id = ?");
  const objects: ListedObject[] = [];
  for (const { id, narSize } of batch) {
    const row = find.get(id);
    if (row !== undefined) objects.push({ path: parseStorePath(textIn(row, "path")), narSize });
  }
  return objects;
}

/** What is wanted, with what refers to it, referrers first. All of that must be dead. */
async function restrict(
  parts: StoreParts,
  found: Reachability,
  only: readonly StorePath[],
): Promise<readonly DeadObject[]> {
  const find = parts.database.prepare("select id, nar_size from objects where path = ?");
  for (const path of only) if (!parts.objects.has(path)) throw notInStore(path);
  const objects: DeadObject[] = [];
  for (const path of await referrersFirst(parts.database, only)) {
    const row = find.get(path);
    const id = row === undefined ? -1 : integerIn(row, "id");
    if (row === undefined || !found.mayGo(id)) throw await alive(parts, path, only);
    objects.push({ id, narSize: integerIn(row, "nar_size") });
  }
  return objects;
}

async function alive(
  parts: StoreParts,
  path: StorePath,
  only: readonly StorePath[],
): Promise<KilnError> {
  const about = only.includes(path) ? path : `${path}, which refers to it,`;
  const keepers = await referrersFirst(parts.database, [path]);
  const root = parts.lastingRoots.list().find(({ target }) => keepers.includes(target));
  if (root !== undefined) {
    const what = root.kind === "link" ? "the link" : "the root";
    return new KilnError("gc.alive", `${about} is needed by ${what} ${root.name}`, {
      path,
      hint: root.kind === "link" ? "remove the link" : `kiln root remove ${root.name}`,
    });
  }
  return new KilnError("gc.alive", `${about} is in use by something that is running`, {
    path,
    hint: "wait for the running builds, or cancel them",
  });
}
