/** One look at what a builder made: all of it is read once, and meanwhile hashed, frozen, and begun to be brought to disk. */
import { type DumpCompanion, dumpNar } from "../../files/dump.ts";
import type { OpenFile } from "../../files/directory.ts";
import { Freezer } from "../../files/freeze.ts";
import type { WalkStep } from "../../files/walk.ts";
import { magicSize, maybeMacho } from "../../format/macho/scan.ts";
import type { Hash } from "../../format/hash.ts";
import { ownerOfObjects } from "../../store/object-files.ts";
import type { NarDigest } from "../../store/nar-digest.ts";
import type { Store } from "../../store/store.ts";
import { Pacer } from "../../util/pacer.ts";

/** A file of this size begins to go to disk while it is looked at. */
const largeFile = 16 * 1024 * 1024;

/** Everything begins to go to disk when this many files were seen. */
const manyFiles = 256;

/** Bytes of a large file that are read at once. */
const readSize = 256 * 1024;

export interface LookOptions {
  readonly store: Pick<Store, "digest" | "syncAhead" | "syncAllAhead">;
  /** The most bytes that a path in the tree may have. */
  readonly longestPath: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Look {
  readonly narHash: Hash;
  readonly narSize: number;
  /** The hash in the source address of what does not refer to itself. */
  readonly sourceHash: Hash;
  /** How many files and directories there are, if the tree is frozen. If not, parts of it may be. */
  readonly frozenEntries: number | undefined;
}

/**
 * Looks at the tree. `see` gets the bytes of its NAR, which are its only until it returns, and whether all files so far are
 * no Mach-O files for sure; it says whether to go on.
 *
 * @returns undefined when it was not gone on
 * @throws what `dumpNar` throws, and the signal's reason
 */
export async function lookAt(
  tree: string,
  { store, longestPath, signal }: LookOptions,
  see: (chunk: Buffer, isPlain: boolean) => boolean,
): Promise<Look | undefined> {
  const pacer = new Pacer();
  const hashes = store.digest();
  const companion = new Companion(store, hashes);
  let narSize = 0;
  let isHashed = false;
  try {
    // All of a chunk is used by the time the next one is asked for.
    let memory: Buffer | undefined;
    const allocate = (size: number): Buffer =>
      (memory ??= Buffer.allocUnsafeSlow(readSize)).subarray(0, size);
    const options = { longestPath, chunkSize: readSize, allocate, companion };
    for (const chunk of dumpNar(tree, options)) {
      if (!see(chunk, companion.isPlain)) return undefined;
      narSize += chunk.length;
      hashes.update(chunk);
      await hashes.congestion;
      await pacer.pause();
      signal?.throwIfAborted();
    }
    isHashed = true;
    const { narHash, sourceHash } = await hashes.finish();
    return { narHash, narSize, sourceHash, frozenEntries: companion.frozenEntries };
  } finally {
    if (!isHashed) hashes.drop();
  }
}

/** Freezes what comes by, has it begin to go to disk if it is much, and sees whether there is what may be a Mach-O file. */
class Companion implements DumpCompanion {
  isPlain = true;
  readonly #store: LookOptions["store"];
  readonly #hashes: NarDigest;
  readonly #freezer = new Freezer(ownerOfObjects());
  #files = 0;

  constructor(store: LookOptions["store"], hashes: NarDigest) {
    this.#store = store;
    this.#hashes = hashes;
  }

  /** How many files and directories came by, if all of them are frozen. */
  get frozenEntries(): number | undefined {
    return this.#freezer.isDone ? this.#freezer.count : undefined;
  }

  begin({ stats: { size }, path }: OpenFile, bytes: Buffer): void {
    this.#hashes.expect(size);
    if (size >= largeFile) void this.#store.syncAhead(path());
    if (++this.#files === manyFiles) void this.#store.syncAllAhead();
    if (size >= magicSize && maybeMacho(bytes)) this.isPlain = false;
  }

  end(file: OpenFile): void {
    this.#freezer.takeOpen(file);
  }

  take(step: WalkStep): void {
    this.#freezer.take(step);
  }
}
