/** One look at what a builder made: its content address, and whose paths are mentioned in it. */
import { chmodSync } from "node:fs";
import { type DumpCompanion, dumpNar } from "../../files/dump.ts";
import { hold, type OpenFile } from "../../files/directory.ts";
import { attempt } from "../../files/file-error.ts";
import { Freezer } from "../../files/freeze.ts";
import { inSlices } from "../../files/slices.ts";
import { walk, type WalkStep } from "../../files/walk.ts";
import { magicSize, maybeMacho } from "../../format/macho/scan.ts";
import { ReferenceScanner } from "../../format/references/scan.ts";
import {
  SelfReferenceAnalyzer,
  type MachoBufferCreator,
  type SelfReferenceAnalysis,
} from "../../format/references/self-references.ts";
import type { StorePath } from "../../format/store-path.ts";
import { ownerOfObjects } from "../../store/object-files.ts";
import type { NarDigest } from "../../store/nar-digest.ts";
import type { Store } from "../../store/store.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { Pacer } from "../../util/pacer.ts";

/** A file of this size begins to go to disk while it is looked at. */
const largeFile = 16 * 1024 * 1024;

/** Everything begins to go to disk when this many files were seen. */
const manyFiles = 256;

/** Bytes of a large file that are read at once. */
const readSize = 256 * 1024;

export interface ScanRequest {
  readonly store: Pick<Store, "digest" | "syncAhead" | "syncAllAhead">;
  /** The most bytes that a path in the tree may have: see {@link longestPathIn}. */
  readonly longestPath: number;
  /** Digest of the path that the builder knew the output by. */
  readonly digest: string;
  /** Digests to look for beside the output's own. */
  readonly candidates: readonly string[];
  /** Those among the candidates that will be replaced by others: where that cannot be done, they are refused. */
  readonly replaceable: ReadonlySet<string>;
  readonly buffers?: MachoBufferCreator | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Scan extends SelfReferenceAnalysis {
  /** The candidates that occur. */
  readonly found: ReadonlySet<string>;
  /** How many files and directories there are, if the tree is frozen. If not, parts of it may be. */
  readonly frozenEntries: number | undefined;
}

/**
 * Looks at the tree, and freezes it on the way if it can be an object as it is: each file is open only once.
 *
 * @throws KilnError of kind `builder` for what can be no object: `output.fileType`, `file.pathTooLong`, `output.utf16` (a path that has to be
 *   rewritten is written in UTF-16), `reference.inName`, `nar.…`
 */
export async function scanOutput(tree: string, request: ScanRequest): Promise<Scan> {
  return await refuse(async () => {
    await thaw(tree, request.signal);
    return (await scanPlain(tree, request)) ?? (await scanAny(tree, request));
  });
}

/**
 * What nearly all outputs are: undefined as soon as the tree mentions its own path or has in it what may be a Mach-O file. Hashed
 * are the bytes as they are, which a thread does if they are many.
 */
async function scanPlain(tree: string, request: ScanRequest): Promise<Scan | undefined> {
  const { store, digest, candidates, signal, longestPath } = request;
  const scanner = new ReferenceScanner([...candidates, digest]);
  const pacer = new Pacer();
  const hashes = store.digest();
  const look = new PlainLook(store, hashes);
  let narSize = 0;
  let isHashed = false;
  try {
    // All of a chunk is used by the time the next one is asked for.
    let memory: Buffer | undefined;
    const allocate = (size: number): Buffer =>
      (memory ??= Buffer.allocUnsafeSlow(readSize)).subarray(0, size);
    const options = { longestPath, chunkSize: readSize, allocate, companion: look };
    for (const chunk of dumpNar(tree, options)) {
      scanner.write(chunk);
      if (!look.isPlain || scanner.hasFound(digest)) return undefined;
      narSize += chunk.length;
      hashes.update(chunk);
      await hashes.congestion;
      await pacer.pause();
      signal?.throwIfAborted();
    }
    const found = foundBy(scanner, request);
    isHashed = true;
    const { narHash, sourceHash } = await hashes.finish();
    const ca = { method: "recursive", hash: sourceHash } as const;
    const nothing = { rewrites: [], paths: [], members: [], self: false };
    return { ca, ...nothing, narHash, narSize, found, frozenEntries: look.frozenEntries };
  } finally {
    if (!isHashed) hashes.drop();
  }
}

/** Freezes what comes by, has it begin to go to disk if it is much, and sees whether there is what may be a Mach-O file. */
class PlainLook implements DumpCompanion {
  isPlain = true;
  readonly #store: Pick<Store, "syncAhead" | "syncAllAhead">;
  readonly #hashes: NarDigest;
  readonly #freezer = new Freezer(ownerOfObjects());
  #files = 0;

  constructor(store: Pick<Store, "syncAhead" | "syncAllAhead">, hashes: NarDigest) {
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

/** Any output, in one pass by this thread alone. */
async function scanAny(tree: string, request: ScanRequest): Promise<Scan> {
  const { digest, candidates, buffers, signal, longestPath } = request;
  const analyzer = new SelfReferenceAnalyzer(digest, buffers);
  const scanner = new ReferenceScanner([...candidates, digest]);
  const look = (chunk: Buffer): void => {
    analyzer.write(chunk);
    scanner.write(chunk);
  };
  await inSlices(dumpNar(tree, { longestPath }), look, signal);
  const found = foundBy(scanner, request);
  return { ...analyzer.finish(), found, frozenEntries: undefined };
}

/** @throws KilnError `output.utf16` */
function foundBy(scanner: ReferenceScanner, { digest, replaceable }: ScanRequest): Set<string> {
  for (const wide of scanner.foundUtf16()) {
    if (wide !== digest && !replaceable.has(wide)) continue;
    throw new KilnError(
      "output.utf16",
      "it mentions its own path, or another output's, in UTF-16, where it cannot be rewritten",
    );
  }
  return scanner.found();
}

/**
 * How long a path in an object may be so that it can be opened in the store: nobody could import the object anywhere else. Counted
 * from the store path, so that it is the same wherever the objects lie.
 */
export function longestPathIn(object: StorePath): number {
  return maxPath - Buffer.byteLength(object);
}

/** Longest path that system calls take, without the closing NUL. */
const maxPath = 4095;

/** Runs `work`; what it finds wrong with its input is the builder's fault. */
export async function refuse<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KilnError) || error.kind !== "input") throw error;
    const code = error.code === "file.type" ? "output.fileType" : error.code;
    throw new KilnError(code, error.message, { kind: "builder", cause: error });
  }
}

/** Root can read and write everything. Others must be allowed to, and are when it is their own. */
export async function thaw(tree: string, signal: AbortSignal | undefined): Promise<void> {
  if (process.getuid?.() === 0) return;
  const steps = walk(tree);
  await inSlices(
    steps,
    ({ type, parent, name }) => {
      if (type !== "enter" && type !== "file") return;
      using held = hold(parent, name);
      const { mode, nlink } = held.stats;
      const wanted = type === "enter" ? 0o700 : 0o600;
      // A file with other names may be reached by them from outside.
      if ((mode & wanted) === wanted || (type === "file" && nlink > 1)) return;
      attempt(
        "change",
        () => parent.pathOf(name),
        () => chmodSync(held.self, (mode & 0o777) | wanted),
      );
    },
    signal,
  );
}
