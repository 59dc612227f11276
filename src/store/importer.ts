/**
 * Taking objects in, from an export stream.
 *
 * An object that is refused costs only itself: the rest of its NAR is read and dropped. Objects are made durable and registered in
 * batches, one while the next is being received, so that a stream of many small ones shares its syncs and transactions.
 */
import { Buffer } from "node:buffer";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { Directory } from "../files/directory.ts";
import { attempt } from "../files/file-error.ts";
import type { FreezeOptions } from "../files/freeze.ts";
import {
  readExport,
  type ByteReaderLike,
  type ExportReceiver,
  type ExportTrailer,
} from "../format/export-stream.ts";
import type { MachoBufferCreator } from "../format/references/self-references.ts";
import { parsePathInDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { sortedSet } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Pacer } from "../util/pacer.ts";
import { checkClaim, type Claim } from "./address.ts";
import { Arrival, type ArrivalParts, type Landing } from "./arrival.ts";
import { Batch, type Received } from "./import-batch.ts";
import { ownerOfObjects } from "./object-files.ts";
import type { StoreParts } from "./parts.ts";
import type { Holding } from "./roots.ts";
import { lockAll, place, type Candidate, type Placed } from "./placement.ts";

export interface ImportOptions {
  /** Ends the import; what was received completely before is kept. */
  readonly signal?: AbortSignal;
  /** Who sends, for the log. */
  readonly user?: string;
  /** Whether what is rejected is no worry of whoever reads the log: the sender asks for it, and says it; default false. */
  readonly isToldBySender?: boolean;
  /** For the analysis of Mach-O files; default the store's. */
  readonly buffers?: MachoBufferCreator;
}

/** What became of an object of a stream. */
export interface ImportReport {
  /** As it stood in the stream. */
  readonly storePath: string;
  readonly status: "imported" | "present" | "rejected";
  /** Why it was rejected. */
  readonly code?: string;
  readonly message?: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** Reports beyond this many, or of more characters, are dropped, the oldest first. */
const mostReports = { count: 100_000, size: 8 * 1024 * 1024 };

/** An importer logs this many rejections; whoever sent the objects can ask for all. */
const mostLogged = 100;

export class Importer implements ExportReceiver, AsyncDisposable {
  /** What became of the objects, in the order of the stream; complete after {@link flush}. The reader may empty it. */
  readonly reports: ImportReport[] = [];
  readonly #parts: StoreParts;
  readonly #options: ImportOptions;
  /** What was sent here: a sender is about to use it. */
  readonly #held: Holding;
  readonly #arrivalParts: ArrivalParts;
  #folder: ImportFolder | undefined;
  #count = 0;
  #reportSize = 0;
  #logged = 0;
  #arrival: Arrival | undefined;
  #batch = new Batch();
  #placing: Promise<void> = Promise.resolve();
  #isPlacing = false;
  readonly #pacer = new Pacer();

  constructor(parts: StoreParts, options: ImportOptions = {}) {
    this.#parts = options.buffers === undefined ? parts : { ...parts, buffers: options.buffers };
    this.#options = options;
    const { syncer, digests, smallFiles } = parts;
    this.#arrivalParts = { syncer, digests, shelf: smallFiles.shelf() };
    this.#held = parts.roots.hold();
  }

  /** Keeps an object from being collected for as long as this importer lives: the sender was told that it is here. */
  hold(path: StorePath): void {
    this.#held.add(path);
    this.#parts.usage.note(path);
  }

  /**
   * Imports a whole export stream. When this returns or throws, every object that was received is registered and durable, or
   * rejected; `reports` tells which.
   *
   * @throws KilnError what {@link readExport} throws: the stream cannot be read on
   */
  async read(input: ByteReaderLike): Promise<void> {
    const { signal } = this.#options;
    using _session = this.#parts.usage.session();
    const paced: ByteReaderLike = {
      chunk: async () => {
        signal?.throwIfAborted();
        await this.#arrival?.congestion;
        await this.#pacer.pause();
        return await input.chunk();
      },
      unread: (rest) => input.unread(rest),
    };
    try {
      await readExport(paced, this);
    } finally {
      this.#drop();
      await this.flush();
    }
  }

  get finished(): boolean {
    return this.#arrival?.finished ?? false;
  }

  write(chunk: Buffer): number {
    this.#arrival ??= new Arrival(this.#arrivalParts, () => this.#land());
    return this.#arrival.write(chunk);
  }

  async receive(trailer: ExportTrailer): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const arrival = this.#arrival;
    if (arrival?.finished !== true) {
      this.#drop();
      throw new KilnError("nar.truncated", "an object ends before its NAR does");
    }
    this.#arrival = undefined;
    arrival.close();
    this.#batch.add(await this.#judge(arrival, trailer));
    if (this.#batch.isFull) await this.#makeRoom();
    // Many objects may come in one chunk.
    if (this.#pacer.due) await this.#pacer.pause();
  }

  /** Resolves when every object received so far is registered and durable, or rejected. */
  async flush(): Promise<void> {
    if (this.#batch.items.length > 0) await this.#placeBatch();
    await this.#placing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#drop();
    await this.flush();
    if (this.#folder !== undefined) {
      this.#folder.directory.close();
      this.#parts.files.discard(this.#folder.path);
    }
    this.#folder = undefined;
    this.#held[Symbol.dispose]();
  }

  #land(): Landing {
    this.#folder ??= makeFolder(this.#parts.files.tmp);
    const { path, directory, frozen } = this.#folder;
    return { tree: `${path}/${this.#count++}`, parent: directory, frozen };
  }

  /** Forgets an object that did not arrive completely. */
  #drop(): void {
    if (this.#arrival === undefined) return;
    this.#arrival.abandon();
    this.#discard(this.#arrival);
    this.#arrival = undefined;
  }

  #discard({ small, tree }: Arrival): void {
    small?.[Symbol.dispose]();
    if (tree !== undefined) this.#parts.files.discard(tree);
  }

  async #judge(arrival: Arrival, trailer: ExportTrailer): Promise<Received> {
    const { storePath } = trailer;
    try {
      const method = trailer.ca?.method;
      const survey = await arrival.survey(method === "text" || method === "flat");
      const { directory, buffers, files } = this.#parts;
      const claim = claimIn(directory, trailer);
      const ca = await checkClaim(claim, survey, () => arrival.toDisk(), buffers);
      const { narHash, narSize } = survey;
      const info = { ...claim, narHash, narSize, ca };
      const { small, entries } = arrival;
      const tree = small === undefined ? arrival.toDisk() : files.pathOf(claim.storePath);
      return { storePath, candidate: { tree, small, entries, inode: arrival.inode, info } };
    } catch (error) {
      this.#discard(arrival);
      return { storePath, error: KilnError.from(error) };
    }
  }

  /** Has a full batch placed, if the one before it is. The longer that takes, the more objects share the next syncs. */
  async #makeRoom(): Promise<void> {
    if (this.#isPlacing && !this.#batch.isOverfull) return;
    await this.#placeBatch();
  }

  /** Resolves when the batch before this one is placed; this one is placed meanwhile. */
  async #placeBatch(): Promise<void> {
    const batch = this.#batch;
    this.#batch = new Batch();
    await this.#placing;
    this.#isPlacing = true;
    this.#placing = this.#place(batch).finally(() => (this.#isPlacing = false));
  }

  /** Never rejects. */
  async #place({ items, candidates }: Batch): Promise<void> {
    const outcomes = new Map<Candidate, Placed>();
    try {
      using _locks = await lockAll(
        this.#parts,
        candidates.map(({ info }) => info.storePath),
      );
      const placed = await place(this.#parts, candidates, "import");
      for (const [i, outcome] of placed.entries()) {
        const candidate = candidates[i];
        if (candidate === undefined) continue;
        outcomes.set(candidate, outcome);
        if (outcome.status === "added") this.#held.add(candidate.info.storePath);
        else if (outcome.status === "present") this.hold(candidate.info.storePath);
      }
    } catch (error) {
      const outcome = { status: "rejected", error: KilnError.from(error) } as const;
      for (const candidate of candidates) outcomes.set(candidate, outcome);
    } finally {
      for (const { small } of candidates) small?.[Symbol.dispose]();
    }
    for (const item of items) {
      const outcome = "error" in item ? item : outcomes.get(item.candidate);
      this.#report(item.storePath, outcome);
    }
  }

  #report(storePath: string, outcome: Placed | { readonly error: KilnError } | undefined): void {
    if (outcome === undefined || !("error" in outcome)) {
      this.#add({ storePath, status: outcome?.status === "present" ? "present" : "imported" });
      return;
    }
    const { code, message, hint } = outcome.error;
    const help = hint === undefined ? {} : { hint };
    this.#add({ storePath, status: "rejected", code, message, ...help });
    if (++this.#logged > mostLogged) return;
    const who = this.#options.user === undefined ? "" : ` from ${this.#options.user}`;
    const more = this.#logged === mostLogged ? " (no more are logged of this connection)" : "";
    const level = this.#options.isToldBySender === true ? "info" : "warn";
    this.#parts.log(level, `rejected ${JSON.stringify(storePath)}${who}: ${message}${more}`);
  }

  #add(report: ImportReport): void {
    const { reports } = this;
    if (reports.length === 0) this.#reportSize = 0;
    this.#reportSize += sizeOf(report);
    reports.push(report);
    if (reports.length < mostReports.count && this.#reportSize < mostReports.size) return;
    reports.splice(0, Math.ceil(reports.length / 2));
    this.#reportSize = reports.reduce((sum, one) => sum + sizeOf(one), 0);
  }
}

function sizeOf({ storePath, message = "" }: ImportReport): number {
  return storePath.length + message.length + 100;
}

/** Where trees are until they are placed. */
interface ImportFolder {
  readonly path: string;
  readonly directory: Directory;
  /** What has to be done for its owner to be right. */
  readonly frozen: FreezeOptions;
}

function makeFolder(parent: string): ImportFolder {
  return attempt("create a folder in", parent, () => {
    const path = mkdtempSync(join(parent, "import-"));
    const directory = Directory.open(path);
    const { owner } = ownerOfObjects();
    // What is made in the folder gets the owner and the group that the folder itself has got.
    const { uid, gid } = directory.stats();
    const isRight = owner === undefined || (owner.uid === uid && owner.gid === gid);
    return { path, directory, frozen: isRight ? {} : { owner } };
  });
}

/** @throws KilnError `path.invalid` */
function claimIn(directory: StoreDirectory, trailer: ExportTrailer): Claim {
  return {
    storePath: parseObjectPath(directory, trailer.storePath),
    references: sortedSet(trailer.references.map((text) => parseObjectPath(directory, text))),
    ca: trailer.ca,
  };
}

/**
 * In an export a path is written in one way only: addresses are computed from it as it stands.
 *
 * @throws KilnError `path.invalid` unless `text` is an object of this directory, not something inside one, and is clean
 */
function parseObjectPath(directory: StoreDirectory, text: string): StorePath {
  const { path, sub } = parsePathInDirectory(directory, text);
  if (path === text) return path;
  const reason = sub === "" ? `must be written ${path}` : "is inside an object";
  throw new KilnError("path.invalid", `${JSON.stringify(text)} ${reason}`);
}
