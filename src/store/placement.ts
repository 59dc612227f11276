/**
 * The one way into the store directory: from a verified, frozen tree in `.kiln/` (or where a builder left it) to a registered object.
 *
 *     sync the trees ────────────────────────────────────┬─> commit rows, drop intents
 *     commit intents ─> rename into place ─> sync the directory ─┘
 *
 * Small files that are still in memory are written in their place, once that is announced, and then synced. What builders made needs no
 * intents when those of the names that it was made under foretell it: then it is in place without a wait.
 *
 * What takes the place of an object is synced before it does: else the object would be lost with it.
 *
 * Whatever moment the machine dies at: before the last commit there is no object, and the intents say which names to undo;
 * after it, the object is whole and on disk. A batch costs two commits and two syncs, however many objects it has.
 */
import { lstatSync } from "node:fs";
import { fileError } from "../files/file-error.ts";
import { FrozenFiles } from "../files/frozen-files.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Pacer } from "../util/pacer.ts";
import { missingReference, notContentAddressed } from "./database/objects.ts";
import type { Intent, Served } from "./database/intents.ts";
import { isIntact } from "./integrity.ts";
import { ownerOfObjects } from "./object-files.ts";
import type { Origin, StoreParts } from "./parts.ts";
import type { SmallFile } from "./small-files.ts";
import type { WrittenTree } from "./syncer.ts";

/** A tree that is about to become an object: checked against `info` and frozen. */
export interface Candidate extends WrittenTree {
  readonly info: ObjectInfo;
  /** The tree's inode number, when it is known. */
  readonly inode?: number | undefined;
  /** The object, when it is not on disk yet; `tree` is its place in the store directory. Whoever made the candidate disposes of it. */
  readonly small?: SmallFile | undefined;
}

export type Placed =
  | { readonly status: "added" | "present" }
  | { readonly status: "rejected"; readonly error: KilnError };

/** What happened to each candidate. */
type Outcomes = Map<Candidate, Placed>;

export interface PlaceOptions {
  /** All of the batch or none; then one may refer to any other. Default false: one may refer to those before it. */
  readonly together?: boolean;
  /** Written in the transaction that makes them objects; in one of its own where all of them are objects already. */
  readonly alongside?: (() => void) | undefined;
  /** Called when all of them are in place, before their names are on disk. They may have to go again. */
  readonly onPlaced?: (() => void) | undefined;
  /** Whether intents are on disk that foretell all of them, and stay there until they are objects: then they need none of their own. */
  readonly isForetold?: (() => boolean) | undefined;
}

/**
 * Makes objects of `batch`, in order. What is in the store already, intact, is left as it is; what is
 * damaged or missing there is replaced. The trees are used up, whatever happens. The caller holds the locks of all the paths.
 *
 * Never rejects: what fails is in the result.
 */
export async function place(
  parts: StoreParts,
  batch: readonly Candidate[],
  origin: Origin,
  { together = false, alongside, onPlaced, isForetold }: PlaceOptions = {},
): Promise<Placed[]> {
  const outcomes: Outcomes = new Map();
  using kept = new DisposableStack();
  const accepted = new Map<StorePath, Candidate>();
  const later = new Set(together ? batch.map(({ info }) => info.storePath) : []);
  // Their locks are held: no other becomes registered, and none of these goes.
  const registered = parts.objects.among(batch.map(({ info }) => info.storePath));
  for (const candidate of batch) {
    const refusal = await admit(parts, candidate, { accepted, later, kept, registered });
    if (refusal === undefined) accepted.set(candidate.info.storePath, candidate);
    else outcomes.set(candidate, refusal);
  }
  if (together) refuseRest(batch, accepted, outcomes);
  const how = { outcomes, together, alongside, onPlaced, isForetold, registered };
  const added = new Set(await placeAccepted(parts, [...accepted.values()], how));
  for (const candidate of batch) {
    if (added.has(candidate)) tell(parts, candidate.info, origin);
    else discardTree(parts, candidate);
  }
  return batch.map((candidate) => outcomes.get(candidate) ?? { status: "added" });
}

/** Takes the locks of all `paths`, in the one order that keeps two takers from waiting for each other. */
export async function lockAll(
  parts: StoreParts,
  paths: Iterable<StorePath>,
  signal?: AbortSignal,
): Promise<Disposable> {
  signal?.throwIfAborted();
  const wanted = new Set(paths);
  const free = parts.locks.tryLock(wanted);
  if (free !== undefined) return free;
  const held = new DisposableStack();
  try {
    for (const path of [...wanted].toSorted()) {
      held.use(await parts.locks.lock(path, signal));
    }
    return held;
  } catch (error) {
    held.dispose();
    throw error;
  }
}

/** When one is rejected, so are all. */
function refuseRest(
  batch: readonly Candidate[],
  accepted: Map<StorePath, Candidate>,
  outcomes: Outcomes,
): void {
  const failure = [...outcomes.values()].find(({ status }) => status === "rejected");
  if (failure === undefined) return;
  for (const candidate of batch) outcomes.set(candidate, failure);
  accepted.clear();
}

interface Company {
  /** Which of the batch are objects already. */
  readonly registered: ReadonlySet<StorePath>;
  readonly accepted: ReadonlyMap<StorePath, Candidate>;
  /** Also to be referred to, though not accepted yet. */
  readonly later: ReadonlySet<StorePath>;
  /** Keeps what accepted candidates refer to from being removed. */
  readonly kept: DisposableStack;
}

/** Why the candidate is not to be placed; undefined when it is. */
async function admit(
  parts: StoreParts,
  { info }: Candidate,
  { accepted, later, kept, registered }: Company,
): Promise<Placed | undefined> {
  const { storePath, references } = info;
  if (accepted.has(storePath)) return { status: "present" };
  if (info.ca === undefined) return rejected(notContentAddressed(storePath));
  try {
    const known = registered.has(storePath) ? parts.objects.info(storePath) : undefined;
    if (known !== undefined && (await isIntact(parts, known))) return { status: "present" };
    for (const reference of references) {
      const isThere =
        reference === storePath ||
        accepted.has(reference) ||
        later.has(reference) ||
        parts.objects.has(reference);
      if (!isThere) return rejected(missingReference(storePath, reference));
    }
    kept.use(parts.roots.protect(references));
    return undefined;
  } catch (error) {
    return rejected(KilnError.from(error));
  }
}

/** @returns those that have become objects; `outcomes` tells about the others */
async function placeAccepted(
  parts: StoreParts,
  accepted: readonly Candidate[],
  how: Omit<Moving, "moved"> & Pick<PlaceOptions, "alongside" | "onPlaced" | "isForetold">,
): Promise<readonly Candidate[]> {
  const { outcomes, together, alongside, onPlaced, isForetold, registered } = how;
  if (accepted.length === 0) {
    const isRejected = [...outcomes.values()].some(({ status }) => status === "rejected");
    if (alongside !== undefined && !isRejected) await parts.database.durably(alongside);
    return [];
  }
  const isReplacing = accepted.some(({ info }) => registered.has(info.storePath));
  const moved: Candidate[] = [];
  try {
    const written = accepted.filter(({ small }) => small === undefined);
    const isAllWritten = written.length === accepted.length;
    const synced = isAllWritten ? parts.syncer.together(written) : Promise.resolve(false);
    if (isForetold?.() !== true) await recordIntents(parts, accepted);
    if (isReplacing && !(await synced)) await parts.syncer.each(written);
    await moveIn(parts, accepted, { moved, outcomes, together, registered });
    onPlaced?.();
    const served = parts.intents.served();
    const syncRest = async (): Promise<void> => {
      if (isAllWritten && (isReplacing || (await synced))) return;
      await syncInPlace(parts, moved);
    };
    await Promise.all([syncRest(), parts.syncer.names()]);
    await commit(parts, { accepted, moved, registered, served, alongside });
    return moved;
  } catch (thrown) {
    const error = fileError("write to", parts.files.root, thrown);
    for (const candidate of accepted) {
      if (!outcomes.has(candidate)) outcomes.set(candidate, rejected(error));
    }
    for (const { info } of moved) withdraw(parts, info.storePath);
    dropIntents(parts, accepted);
    return [];
  }
}

async function syncInPlace(parts: StoreParts, moved: readonly Candidate[]): Promise<void> {
  await parts.syncer.trees(
    moved.map(({ info, entries }) => ({ tree: parts.files.pathOf(info.storePath), entries })),
  );
}

async function recordIntents(parts: StoreParts, accepted: readonly Candidate[]): Promise<void> {
  const intents: Intent[] = accepted.map((candidate) => ({
    path: candidate.info.storePath,
    inode: inodeOf(candidate),
  }));
  await parts.database.jointly(() => parts.intents.record(intents));
}

function inodeOf({ tree, small, inode }: Candidate): bigint | undefined {
  if (small !== undefined) return undefined;
  // A larger number was rounded.
  if (Number.isSafeInteger(inode)) return BigInt(inode ?? 0);
  return lstatSync(tree, { bigint: true }).ino;
}

interface Moving {
  /** Gets those that are in place. */
  readonly moved: Candidate[];
  readonly outcomes: Outcomes;
  readonly together: boolean;
  readonly registered: ReadonlySet<StorePath>;
}

/** Moves the trees into place. One that cannot be moved takes those with it that refer to it, or all. */
async function moveIn(
  parts: StoreParts,
  accepted: readonly Candidate[],
  { moved, outcomes, together, registered }: Moving,
): Promise<void> {
  const failed = new Set<StorePath>();
  const files = new FrozenFiles(ownerOfObjects());
  const pacer = new Pacer();
  for (const candidate of accepted) {
    const { tree, small, info } = candidate;
    const { storePath } = info;
    try {
      const absent = info.references.find((reference) => failed.has(reference));
      if (absent !== undefined) throw missingReference(storePath, absent);
      if (small !== undefined) {
        const isNew = !registered.has(storePath) && parts.files.create(small, storePath, files);
        if (!isNew) await replace(parts, small, storePath);
      } else if (tree !== parts.files.pathOf(storePath)) {
        const isTouched = parts.files.moveIn(tree, storePath);
        if (isTouched) await parts.syncer.folder(parts.files.pathOf(storePath));
      }
      moved.push(candidate);
    } catch (thrown) {
      const error = fileError("place", storePath, thrown);
      if (together) throw error;
      failed.add(storePath);
      outcomes.set(candidate, rejected(error));
    }
    if (pacer.due) await pacer.pause();
  }
}

/** Has a small file, whole and on disk, take the place of what has its name: a damaged object, or nothing of Kiln's. */
async function replace(parts: StoreParts, small: SmallFile, path: StorePath): Promise<void> {
  const tree = parts.files.temporary();
  try {
    new FrozenFiles(ownerOfObjects()).write(tree, small);
    await parts.syncer.each([{ tree, entries: 1 }]);
    parts.files.moveIn(tree, path);
  } catch (error) {
    parts.files.discard(tree);
    throw error;
  }
}

/** From here on they exist. */
async function commit(
  parts: StoreParts,
  {
    accepted,
    moved,
    registered,
    served,
    alongside,
  }: Pick<Company, "registered"> & {
    readonly accepted: readonly Candidate[];
    readonly moved: readonly Candidate[];
    readonly served: Served;
    readonly alongside: (() => void) | undefined;
  },
): Promise<void> {
  // The last rename was before this; change times have the resolution of the kernel's tick.
  const now = Date.now() + 1;
  const infos = moved.map(({ info }) => info);
  const added = infos.filter(({ storePath }) => !registered.has(storePath));
  using _hidden = parts.objects.hide(added.map(({ storePath }) => storePath));
  await parts.database.jointly(() => {
    for (const { storePath } of infos) {
      if (registered.has(storePath)) parts.objects.setVerifiedAt(storePath, now);
    }
    parts.objects.insert(added, now);
    parts.intents.clear(accepted.map(({ info }) => info.storePath));
    parts.intents.clearServed(served);
    alongside?.();
  });
  parts.intents.forget(served);
}

/** Takes a name out of the store directory again. If that fails, its intent tells the next start to do it. */
function withdraw(parts: StoreParts, path: StorePath): void {
  try {
    // What repaired a registered object may stay.
    if (!parts.objects.has(path)) parts.files.moveOut(path);
  } catch (error) {
    parts.log("warn", `cannot take back ${path}: ${KilnError.from(error).message}`);
    keepIntent(parts, path);
  }
}

/** What foretold it may not last. */
function keepIntent(parts: StoreParts, path: StorePath): void {
  try {
    const inode = parts.files.find(path)?.ino;
    if (inode !== undefined) parts.database.lightly(() => parts.intents.record([{ path, inode }]));
  } catch (error) {
    parts.log("warn", `${path} stays: ${KilnError.from(error).message}`);
  }
}

function dropIntents(parts: StoreParts, accepted: readonly Candidate[]): void {
  try {
    const done = accepted
      .map(({ info }) => info.storePath)
      .filter((path) => parts.objects.has(path) || !parts.files.has(path));
    parts.intents.serve(done);
  } catch (error) {
    parts.log("warn", `intents stay for now: ${KilnError.from(error).message}`);
  }
}

/** Clears the intents that nobody needs any more; or else the next start does. */
export async function clearServed(parts: StoreParts): Promise<void> {
  const served = parts.intents.served();
  if (served.size === 0) return;
  try {
    await parts.syncer.names();
    parts.database.lightly(() => parts.intents.clearServed(served));
    parts.intents.forget(served);
  } catch (error) {
    parts.log("warn", `intents stay for now: ${KilnError.from(error).message}`);
  }
}

function tell(parts: StoreParts, info: ObjectInfo, origin: Origin): void {
  try {
    parts.onAdded(info, origin);
  } catch (error) {
    parts.log("error", `a listener failed: ${KilnError.from(error).message}`);
  }
}

function discardTree(parts: StoreParts, { tree, info }: Candidate): void {
  if (tree !== parts.files.pathOf(info.storePath)) parts.files.discard(tree);
}

function rejected(error: KilnError): Placed {
  return { status: "rejected", error };
}
