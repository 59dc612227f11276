/**
 * Objects at rest: a directory of immutable trees and the database that says which of them exist.
 *
 * This is the one place where row and directory are made to agree. The database decides what exists; whoever puts a name into the
 * store directory writes an intent first; names that nobody announced are never touched.
 */
import { lstatSync } from "node:fs";
import { resolve } from "node:path";
import { errorCode, fileError } from "../files/file-error.ts";
import { freeze } from "../files/freeze.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { MachoBufferCreator } from "../format/references/self-references.ts";
import { parsePathInDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { stringToBytes } from "../util/byte-string.ts";
import { hasCode } from "../util/kiln-error.ts";
import { KeyedMutex } from "../util/keyed-mutex.ts";
import { adoptObjects, type AdoptOptions, type AdoptReport } from "./adopt.ts";
import type { ZbDatabase } from "./adopt/zb-database.ts";
import { type Claimed, Claims } from "./claims.ts";
import { closureOf } from "./database/closure.ts";
import { IntentTable } from "./database/intents.ts";
import {
  listObjects,
  objectGraph,
  type GraphOptions,
  type ListedObject,
  type ObjectNode,
} from "./database/object-graph.ts";
import { ObjectTable } from "./database/objects.ts";
import type { Durability, StoreDatabase } from "./database/open.ts";
import { RootTable, type Root } from "./database/root-table.ts";
import { Reserve } from "./database/reserve.ts";
import { Care } from "./care.ts";
import { collect, type Collected, type CollectOptions } from "./collection.ts";
import { DigestThread } from "./digest-thread.ts";
import { removeObjects, type RemoveOptions } from "./deletion.ts";
import { planExport, type ExportOptions, type ExportPlan } from "./exporter.ts";
import { Importer, type ImportOptions } from "./importer.ts";
import { StoreLock, type LockWait } from "./locks.ts";
import { ObjectFiles, ownerOfObjects, type Log } from "./object-files.ts";
import type { Origin, StoreParts } from "./parts.ts";
import { verifyObjects, type Verified, type VerifyOptions } from "./inspection.ts";
import { isIntact } from "./integrity.ts";
import { clearServed, lockAll, place, type Candidate, type Placed } from "./placement.ts";
import { NarDigest } from "./nar-digest.ts";
import { ReadingThread } from "./reading-thread.ts";
import { recover } from "./recovery.ts";
import { registerObject } from "./registration.ts";
import { openDatabase } from "./own-database.ts";
import { addRoot, keptLinks, removeRoot, type NewRoot } from "./lasting-roots.ts";
import { TemporaryRoots } from "./roots.ts";
import { Usage } from "./usage.ts";
import { Limiter } from "../util/limiter.ts";
import { SmallFiles } from "./small-files.ts";
import { Syncer } from "./syncer.ts";
import { VerificationPool } from "./verification-pool.ts";

export interface StoreOptions {
  /** Logical store directory: the one in the paths. */
  readonly directory: StoreDirectory;
  /** Where the objects really are; default `directory`. */
  readonly realDirectory?: string | undefined;
  /** The database file. */
  readonly database: string;
  /** What acknowledged objects survive; default `power`. */
  readonly durability?: Durability | undefined;
  readonly log?: Log | undefined;
  /** Where the analysis of Mach-O files keeps what it cannot hold in memory; default memory, within bounds. */
  readonly buffers?: MachoBufferCreator | undefined;
  /** Wait while another process has the store, instead of throwing `store.locked`. */
  readonly waitForLock?: LockWait | undefined;
}

/** A tree to be made an object of the store. */
export interface Publication {
  /** On the store's file system; moved, or removed when the object is there already. */
  readonly tree: string;
  /** What was found about it after it had its final bytes. */
  readonly info: ObjectInfo;
  /** How many files and directories there are, if it was frozen since then. */
  readonly frozenEntries?: number | undefined;
}

export interface PublishOptions {
  /** Writes more to the database, in the transaction that makes the tree an object. */
  readonly alongside?: (() => void) | undefined;
  /** Called when what is to be an object lies at its place, and is not one yet: that may still fail. */
  readonly onPlaced?: (() => void) | undefined;
  /** Where the trees were made, in the same order, if that was announced: see {@link Store.announce}. It saves a wait for the disk. */
  readonly madeAt?: readonly StorePath[];
}

export class Store implements AsyncDisposable {
  readonly directory: StoreDirectory;
  readonly realDirectory: string;
  /** A private folder on the store's file system. What is left in it goes when the store is next opened. */
  readonly temporaryDirectory: string;
  readonly database: StoreDatabase;
  /** Called after an object was registered. */
  onObjectAdded: ((info: ObjectInfo, origin: Origin) => void) | undefined;
  readonly #parts: StoreParts;
  readonly #claims: Claims;
  readonly #lock: StoreLock;
  /** What keeping it small and sound came to. */
  readonly care: Care = new Care();
  readonly #collections = new Limiter(1);

  private constructor(parts: StoreParts, lock: StoreLock) {
    this.#parts = {
      ...parts,
      onAdded: (info, origin) => this.onObjectAdded?.(info, origin),
    };
    this.#claims = new Claims(this.#parts);
    this.#lock = lock;
    this.directory = parts.directory;
    this.realDirectory = parts.files.root;
    this.temporaryDirectory = parts.files.tmp;
    this.database = parts.database;
  }

  /**
   * Opens a store, or makes one: takes its lock, brings its database up to date, and undoes what the process before had begun.
   *
   * @throws KilnError `store.locked`, `store.directory`, `database.…` (see {@link StoreDatabase.open}), `disk.…`, `file.…`
   */
  static async open(options: StoreOptions): Promise<Store> {
    const { directory, durability = "power", log = () => undefined } = options;
    const root = resolve(options.realDirectory ?? directory);
    const files = ObjectFiles.open(root, log);
    const lock = await StoreLock.acquire(files.lockFile, root, options.waitForLock);
    let database: StoreDatabase | undefined;
    try {
      database = openDatabase(files, options);
      const parts: StoreParts = {
        directory,
        database,
        objects: new ObjectTable(database),
        intents: new IntentTable(database),
        files,
        syncer: new Syncer(root, durability),
        hashing: new VerificationPool(),
        digests: new DigestThread(),
        smallFiles: new SmallFiles(),
        reading: new ReadingThread(),
        reserve: new Reserve(`${resolve(options.database)}-reserve`),
        roots: new TemporaryRoots(),
        lastingRoots: new RootTable(database),
        usage: new Usage(database, log),
        locks: new KeyedMutex(),
        buffers: options.buffers,
        log,
        onAdded: () => undefined,
      };
      await recover(parts);
      if (durability === "power") parts.reserve.take();
      return new Store(parts, lock);
    } catch (error) {
      database?.close();
      lock.release();
      throw error;
    }
  }

  /** Does ahead what the first import would have to wait for: for when there is nothing else to do. It takes some milliseconds. */
  prepare(): void {
    this.#parts.syncer.warm();
  }

  /** Where the object is, or would be, on this machine. */
  realPath(path: StorePath): string {
    return this.#parts.files.pathOf(path);
  }

  /** For the hashes of a tree that is about to be published. */
  digest(): NarDigest {
    return new NarDigest(this.#parts.digests);
  }

  /** Gets ready: soon something is published that may be large. */
  warm(): void {
    this.#parts.digests.warm();
    this.#parts.syncer.warm();
  }

  /** Begins to bring a large file to disk that is about to be published, so that less is left to do then. Never rejects. */
  async syncAhead(file: string): Promise<void> {
    await this.#parts.syncer.contents(file).catch(() => undefined);
  }

  /** As {@link syncAhead}, for many small files. */
  async syncAllAhead(): Promise<void> {
    await this.#parts.syncer.everything();
  }

  /** Whether the object is registered. */
  has(path: StorePath): boolean {
    return this.#parts.objects.has(path);
  }

  /** What is known about the object; undefined when it is not registered. */
  info(path: StorePath): ObjectInfo | undefined {
    const info = this.#parts.objects.info(path);
    if (info !== undefined) this.#parts.usage.note(path);
    return info;
  }

  /** Whether the object is registered and has something at its place. Unlike {@link exists} it does not wait for the object's lock. */
  isPresent(path: StorePath): boolean {
    return this.has(path) && this.#parts.files.find(path) !== undefined;
  }

  /** Whether the object is there, and was not found to be damaged: whether it need not be sent again, as far as is known. */
  isSound(path: StorePath): boolean {
    const { objects } = this.#parts;
    return objects.has(path) && objects.verifiedAt(path) !== 0 && this.isPresent(path);
  }

  /**
   * Whether the object is registered and, on disk, what was registered. Its bytes are read only when something in it was changed after
   * they were last known to be right.
   */
  async isIntact(path: StorePath): Promise<boolean> {
    const info = this.info(path); // notes that it is used
    return info !== undefined && (await isIntact(this.#parts, info));
  }

  /**
   * Whether `text` names a registered object that is there, or something inside one; no link is followed. False for whatever is not
   * a path in this store. Waits while the object is being put in place or removed: not to be asked by who holds its lock.
   */
  async exists(text: string): Promise<boolean> {
    const place = this.#locate(text);
    if (place === undefined) return false;
    const { path, sub } = place;
    if (this.#parts.locks.isLocked(path)) (await this.lock(path))[Symbol.dispose]();
    if (!this.has(path)) return false;
    this.#parts.usage.note(path);
    return isThere(this.realPath(path), sub);
  }

  /**
   * The objects reachable from `paths`, with themselves, sorted.
   *
   * @throws KilnError `store.missing`
   */
  closure(paths: Iterable<StorePath>): StorePath[] {
    return closureOf(this.database, paths);
  }

  /** The objects that refer to `path`, without itself, sorted. */
  referrers(path: StorePath): StorePath[] {
    return this.#parts.objects.referrers(path);
  }

  /**
   * `paths` and all they refer to (or that refers to them) with sizes and references, sorted.
   *
   * @throws KilnError `store.missing`
   */
  graph(paths: readonly StorePath[], options: GraphOptions = {}): Promise<ObjectNode[]> {
    return objectGraph(this.database, paths, options);
  }

  /** Up to `limit` registered objects with their sizes, sorted: those after the path `after`, or from the beginning. */
  page(after: StorePath | undefined, limit: number): ListedObject[] {
    return listObjects(this.database, after ?? "", limit);
  }

  /** All registered objects, sorted. */
  list(): Iterable<StorePath> {
    return this.#parts.objects.list();
  }

  /** The write lock of one path. Whoever holds one must not wait for another. */
  lock(path: StorePath, signal?: AbortSignal): Promise<Disposable> {
    return this.#parts.locks.lock(path, signal);
  }

  /** Takes objects in: one importer for each stream or connection. */
  importer(options: ImportOptions = {}): Importer {
    return new Importer(this.#parts, options);
  }

  /**
   * Makes a tree an object: freezes it, makes it durable, moves it into place and registers it. It must be what `info` says, and what
   * it refers to must be registered. The tree may lie at the object's place already, if that was claimed.
   *
   * @param options.lock given when the caller holds the object's lock
   * @param options.frozenEntries as in {@link Publication}
   * @param options.alongside writes more to the database in the same transaction
   * @throws KilnError `store.missingReference`, `file.…`, `disk.…`, `database.…`; then the tree is gone, too
   */
  async publish(
    tree: string,
    info: ObjectInfo,
    options: { readonly lock?: Disposable | undefined } & PublishOptions &
      Pick<Publication, "frozenEntries"> = {},
  ): Promise<"added" | "present"> {
    const held = options.lock ?? (await this.lock(info.storePath));
    try {
      const { frozenEntries } = options;
      const publication = { tree, info, frozenEntries };
      const [status = "present"] = await this.#publishLocked([publication], options);
      return status;
    } finally {
      if (held !== options.lock) held[Symbol.dispose]();
    }
  }

  /**
   * As {@link publish} for several trees that may refer to each other in any order, in one transaction: all of them, or none.
   * Takes their locks, so the caller must hold none.
   */
  async publishAll(
    list: readonly Publication[],
    options: PublishOptions = {},
  ): Promise<("added" | "present")[]> {
    using _locks = await lockAll(
      this.#parts,
      list.map(({ info }) => info.storePath),
    );
    return await this.#publishLocked(list, options);
  }

  /**
   * Announces names that a builder will write directly into the store directory. Whatever unregistered thing has one of these names
   * now is removed; so is what has one when the result is disposed of (or, after a crash, when the store is next opened), unless
   * it has become an object by then. The caller holds the locks.
   */
  claim(paths: readonly StorePath[]): Promise<Claimed> {
    return this.#claims.claim(paths);
  }

  /**
   * Names that are going to be claimed before the result is disposed of. Once one of them is, the next ones are announced with it, so
   * that claiming them costs no wait.
   */
  expect(paths: Iterable<StorePath>): Disposable {
    return this.#claims.expect(paths);
  }

  /**
   * Has names that are expected, and what is made there, announced without a wait, whether they are claimed or not.
   */
  announce(paths: readonly StorePath[]): void {
    this.#claims.announce(paths);
  }

  /**
   * Prepares an export: finds the objects and their order, and that they are there.
   *
   * @throws KilnError `store.missing`
   */
  export(paths: readonly StorePath[], options: ExportOptions = {}): Promise<ExportPlan> {
    return planExport(this.#parts, paths, options);
  }

  /**
   * Removes objects, all or none of them.
   *
   * @returns what was removed, referrers first
   * @throws KilnError `store.missing`, `store.hasReferrers` (not with `recursive`), `store.inUse`
   */
  remove(paths: Iterable<StorePath>, options: RemoveOptions = {}): Promise<StorePath[]> {
    return removeObjects(this.#parts, paths, options);
  }

  /**
   * Makes an object of a tree that is in the store directory already, after it was found to be what `info` says.
   *
   * @throws KilnError `store.notContentAddressed`, `store.missing` (nothing is there), `store.conflict` (registered otherwise),
   *   `ca.…`, `path.mismatch`, `store.mismatch` (another NAR hash or size), `store.missingReference`
   */
  register(info: ObjectInfo): Promise<void> {
    return registerObject(this.#parts, info);
  }

  /** Keeps registered objects from being removed until the result is disposed of. */
  protect(paths: Iterable<StorePath>): Disposable {
    const kept = [...paths];
    for (const path of kept) this.#parts.usage.note(path);
    return this.#parts.roots.protect(kept);
  }

  /** Keeps everything that is used or made from now on from being collected until the result is disposed of. */
  session(): Disposable {
    return this.#parts.usage.session();
  }

  /**
   * Removes what no root needs, the least recently used first. Builds and imports go on meanwhile, and keep what they use. One
   * collection after the other.
   *
   * @throws KilnError `store.missing` and `gc.alive` when one of `only` is not there or needed; the signal's reason
   */
  async collect(options: CollectOptions = {}): Promise<Collected> {
    using _turn = await this.#collections.acquire(options.signal);
    const startedAt = Date.now();
    const collected = await collect(this.#parts, options);
    if (options.dryRun !== true) this.care.noteCollection(collected, startedAt);
    return collected;
  }

  /**
   * Looks for objects that are not what was registered.
   *
   * @throws KilnError `store.missing` when one of `paths` is not registered; the signal's reason
   */
  async verify(options: VerifyOptions = {}): Promise<Verified> {
    const startedAt = Date.now();
    const verified = await verifyObjects(this.#parts, options);
    if (options.paths === undefined) this.care.noteVerification(verified, startedAt);
    return verified;
  }

  /** What collections keep, as it is now, sorted by name. */
  roots(): readonly Root[] {
    return keptLinks(this.#parts);
  }

  /**
   * Makes a root, or gives the one with this name another object.
   *
   * @throws KilnError `store.missing`, `root.name`, `root.link` (no link to an object of this store), `root.denied` (another's link)
   */
  addRoot(root: NewRoot): Promise<Root> {
    return addRoot(this.#parts, root);
  }

  /** @throws KilnError `root.missing` */
  removeRoot(name: string): Promise<void> {
    return removeRoot(this.#parts, name);
  }

  /**
   * Makes this store's what zb has in the store directory: objects, realisations and builds, all at once or, when this throws,
   * nothing. Nobody else may use the store meanwhile.
   *
   * @throws KilnError `zb.directory`, `database.…`, the signal's reason
   */
  adopt(zb: ZbDatabase, options: AdoptOptions = {}): Promise<AdoptReport> {
    return adoptObjects(this.#parts, zb, options);
  }

  /**
   * Gives the store back, when what is being removed is gone. Whoever uses it must have ended; a second call does nothing.
   * `whileLocked` is called between the end of the database and that of the lock.
   */
  async close(whileLocked?: () => void): Promise<void> {
    await this.#parts.files.settled();
    await clearServed(this.#parts);
    this.#parts.syncer[Symbol.dispose]();
    await this.#parts.hashing[Symbol.asyncDispose]();
    await this.#parts.digests[Symbol.asyncDispose]();
    await this.#parts.reading[Symbol.asyncDispose]();
    this.#parts.usage[Symbol.dispose]();
    await this.database.settled();
    this.database.close();
    try {
      whileLocked?.();
    } finally {
      this.#lock.release();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #locate(text: string): { path: StorePath; sub: string } | undefined {
    try {
      return parsePathInDirectory(this.directory, text);
    } catch (error) {
      if (hasCode(error, "path.invalid")) return undefined;
      throw error;
    }
  }

  async #publishLocked(
    list: readonly Publication[],
    { madeAt = [], ...options }: PublishOptions,
  ): Promise<("added" | "present")[]> {
    const candidates: Candidate[] = [];
    for (const { tree, info, frozenEntries } of list) {
      const entries = frozenEntries ?? (await freeze(tree, ownerOfObjects()));
      candidates.push({ tree, info, entries });
    }
    // What foretells them must not be dropped before they are objects.
    using _expected = this.#claims.expect(madeAt);
    const isForetold = (): boolean =>
      candidates.every(({ info }, index) => {
        const path = madeAt[index];
        return path !== undefined && this.#claims.foretells(path, info.storePath);
      });
    const how = { together: true, isForetold, ...options };
    const placed = await place(this.#parts, candidates, "build", how);
    return placed.map(statusOf);
  }
}

function statusOf(placed: Placed): "added" | "present" {
  if (placed.status === "rejected") throw placed.error;
  return placed.status;
}

/** Whether `sub` is inside the object at `object`, which every element but the last must be a real folder for. */
function isThere(object: string, sub: string): boolean {
  const names = sub === "" ? [] : sub.split("/");
  let path = object;
  for (let i = 0; ; i++) {
    const stats = look(path);
    const name = names[i];
    if (stats === undefined || name === undefined) return stats !== undefined;
    if (!stats.isDirectory()) return false;
    path = `${path}/${name}`;
  }
}

function look(path: string): ReturnType<typeof lstatSync> {
  if (path.includes("\0")) return undefined;
  try {
    return lstatSync(stringToBytes(path), { throwIfNoEntry: false });
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOTDIR" || code === "ENAMETOOLONG" || code === "ELOOP") return undefined;
    throw fileError("look at", path, error);
  }
}
