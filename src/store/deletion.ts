/** Removing objects: rows first, in one transaction with the intents that say which names have to go, then the names, then the files. */
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Pacer } from "../util/pacer.ts";
import { isDetached, referrersFirst } from "./database/closure.ts";
import type { Departure } from "./object-files.ts";
import type { StoreParts } from "./parts.ts";
import { lockAll } from "./placement.ts";

/** Names that are announced, or done with, at once. */
const batchSize = 500;

export interface RemoveOptions {
  /** Also what refers to the given objects, directly or not; default false: then such objects are an error. */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Removes objects, all or none.
 *
 * @returns what was removed, referrers before what they refer to
 * @throws KilnError `store.missing`, `store.hasReferrers`, `store.inUse` (a running build or import needs one of them)
 */
export async function removeObjects(
  parts: StoreParts,
  paths: Iterable<StorePath>,
  { recursive = false, signal }: RemoveOptions = {},
): Promise<StorePath[]> {
  const wanted = new Set(paths);
  for (;;) {
    const doomed = await choose(parts, wanted, recursive);
    if (doomed.length === 0) return [];
    using _locks = await lockAll(parts, doomed, signal);
    // Meanwhile other objects may have come to refer to these, or some of them be gone: then it begins anew.
    const gone = await takeOut(parts, doomed, () => (stands(parts, doomed) ? doomed : []));
    if (gone.length > 0) return doomed;
  }
}

/**
 * Takes those of the `candidates` out of the store that `choose` names, referrers first: it is asked within the transaction that
 * removes the rows. The caller holds the locks. What is removed to make space must not need some, so that a full disk is no
 * hindrance.
 *
 * @returns what `choose` gave
 */
export async function takeOut(
  parts: StoreParts,
  candidates: readonly StorePath[],
  choose: () => readonly StorePath[],
): Promise<readonly StorePath[]> {
  const doomed = await parts.reserve.spend(async () => {
    await announce(parts, candidates);
    return await forget(parts, choose);
  });
  if (doomed.length < candidates.length) {
    parts.intents.serve(new Set(candidates).difference(new Set(doomed)));
  }
  await clearAway(parts, doomed);
  if (parts.reserve.isSpent) void restoreReserve(parts);
  return doomed;
}

/** What goes, referrers first. */
async function choose(
  parts: StoreParts,
  wanted: ReadonlySet<StorePath>,
  recursive: boolean,
): Promise<StorePath[]> {
  const doomed = await referrersFirst(parts.database, wanted);
  const referrer = doomed.find((path) => !wanted.has(path));
  if (referrer !== undefined && !recursive) {
    throw new KilnError(
      "store.hasReferrers",
      `other objects refer to these, for example ${referrer}`,
      { path: referrer, hint: "remove those too: kiln store object delete --recursive" },
    );
  }
  const used = doomed.find((path) => parts.roots.has(path));
  if (used !== undefined) {
    throw new KilnError("store.inUse", `${used} is needed by something that is running`, {
      path: used,
      hint: "wait for the running builds, or cancel them",
    });
  }
  return doomed;
}

/** Whether what was chosen is what would be chosen now. */
function stands(parts: StoreParts, doomed: readonly StorePath[]): boolean {
  return !doomed.some((path) => parts.roots.has(path)) && isDetached(parts.database, doomed);
}

/**
 * Says which names may have to go. As long as there are the rows this means nothing, so it is done ahead and bit by bit: the transaction
 * that removes the rows holds up everybody for as long as it takes.
 */
async function announce(parts: StoreParts, candidates: readonly StorePath[]): Promise<void> {
  for await (const some of bitByBit(candidates)) {
    const names = some
      .map((path) => ({ path, inode: parts.files.find(path)?.ino }))
      .filter(({ inode }) => inode !== undefined);
    parts.database.lightly(() => parts.intents.record(names));
  }
}

/** From here on they do not exist. */
async function forget(
  parts: StoreParts,
  choose: () => readonly StorePath[],
): Promise<readonly StorePath[]> {
  const gone = await parts.database.durably(() => {
    const doomed = choose();
    parts.objects.delete(doomed);
    return doomed;
  });
  // What was noted of them would stay in memory for minutes.
  parts.usage.forget(gone);
  return gone;
}

/** When the removed files are gone, there is space to hold back again. Never rejects. */
async function restoreReserve(parts: StoreParts): Promise<void> {
  await parts.files.settled();
  parts.reserve.take();
}

/** What fails here is no failure of the removal: the intents stay, and the next start takes the names away. */
async function clearAway(parts: StoreParts, doomed: readonly StorePath[]): Promise<void> {
  if (doomed.length === 0) return;
  try {
    const gone: StorePath[] = [];
    const pacer = new Pacer();
    using departure = parts.files.departure();
    for (const path of doomed) {
      if (takeAway(parts, departure, path)) gone.push(path);
      await pacer.pause();
    }
    await parts.syncer.names();
    for await (const some of bitByBit(gone)) {
      parts.database.lightly(() => parts.intents.clear(some));
    }
  } catch (error) {
    parts.log("warn", `removed objects still take space: ${KilnError.from(error).message}`);
  }
}

function takeAway(parts: StoreParts, departure: Departure, path: StorePath): boolean {
  try {
    departure.take(path);
    return true;
  } catch (error) {
    parts.log("warn", `cannot remove the files of ${path}: ${KilnError.from(error).message}`);
    return false;
  }
}

/** Some of the list after others, with everybody else's turn between them. */
async function* bitByBit<T>(list: readonly T[]): AsyncGenerator<readonly T[], void, void> {
  const pacer = new Pacer();
  for (let at = 0; at < list.length; at += batchSize) {
    yield list.slice(at, at + batchSize);
    await pacer.pause();
  }
}
