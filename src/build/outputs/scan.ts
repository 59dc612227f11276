/** One look at what a builder made: its content address, and whose paths are mentioned in it. */
import { chmodSync } from "node:fs";
import { dumpNar } from "../../files/dump.ts";
import { hold } from "../../files/directory.ts";
import { attempt } from "../../files/file-error.ts";
import { inSlices } from "../../files/slices.ts";
import { walk } from "../../files/walk.ts";
import { magicSize, maybeMacho } from "../../format/macho/scan.ts";
import { NarReader, type NarSink } from "../../format/nar/reader.ts";
import { ReferenceScanner } from "../../format/references/scan.ts";
import {
  SelfReferenceAnalyzer,
  type MachoBufferCreator,
  type SelfReferenceAnalysis,
} from "../../format/references/self-references.ts";
import type { StorePath } from "../../format/store-path.ts";
import type { Store } from "../../store/store.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { Pacer } from "../../util/pacer.ts";

/** A file of this size begins to go to disk while it is looked at. */
const largeFile = 16 * 1024 * 1024;

/** Bytes of a large file that are read at once. */
const readSize = 256 * 1024;

export interface ScanRequest {
  readonly store: Pick<Store, "digest" | "syncAhead">;
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
}

/**
 * Looks at the tree. It does not change it, but for the permissions of what the owner may not read.
 *
 * @throws KilnError of kind `builder` for what can be no object: `output.fileType`, `file.pathTooLong`, `output.utf16` (a path that has to be
 *   rewritten is written in UTF-16), `reference.inName`, `nar.…`
 */
export async function scanOutput(tree: string, request: ScanRequest): Promise<Scan> {
  return await refuse(async () => {
    await makeReadable(tree, request.signal);
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
  let isHashed = false;
  try {
    const look = new PlainLook(tree, (file, size) => {
      hashes.expect(size);
      if (size >= largeFile) void store.syncAhead(file);
    });
    const reader = new NarReader(look);
    // All of a chunk is used by the time the next one is asked for.
    let memory: Buffer | undefined;
    const allocate = (size: number): Buffer =>
      (memory ??= Buffer.allocUnsafeSlow(readSize)).subarray(0, size);
    for (const chunk of dumpNar(tree, { longestPath, chunkSize: readSize, allocate })) {
      reader.write(chunk);
      scanner.write(chunk);
      if (!look.isPlain || scanner.hasFound(digest)) return undefined;
      hashes.update(chunk);
      await hashes.congestion;
      await pacer.pause();
      signal?.throwIfAborted();
    }
    reader.end();
    const found = foundBy(scanner, request);
    isHashed = true;
    const { narHash, sourceHash } = await hashes.finish();
    const ca = { method: "recursive", hash: sourceHash } as const;
    const narSize = reader.bytesRead;
    return { ca, rewrites: [], paths: [], members: [], self: false, narHash, narSize, found };
  } finally {
    if (!isHashed) hashes.drop();
  }
}

/** Tells of the files of a NAR, and whether one of them may be a Mach-O file. */
class PlainLook implements NarSink {
  isPlain = true;
  /** Those of the open folders and of the file; the root is known by its path. */
  readonly #names: string[] = [];
  readonly #root: string;
  readonly #onFile: (path: string, size: number) => void;
  #isAtStart = false;

  constructor(root: string, onFile: (path: string, size: number) => void) {
    this.#root = root;
    this.#onFile = onFile;
  }

  directory(name: string): void {
    this.#names.push(name);
  }

  endDirectory(): void {
    this.#names.pop();
  }

  file(name: string, _executable: boolean, size: number): void {
    this.#names.push(name);
    this.#isAtStart = size >= magicSize;
    this.#onFile([this.#root, ...this.#names.slice(1)].join("/"), size);
  }

  data(chunk: Buffer): void {
    if (this.#isAtStart && maybeMacho(chunk)) this.isPlain = false;
    this.#isAtStart = false;
  }

  endFile(): void {
    this.#names.pop();
  }

  symlink(): void {}
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
  return { ...analyzer.finish(), found };
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

/** Root can read everything. Others must be allowed to, and are when it is their own. */
async function makeReadable(tree: string, signal: AbortSignal | undefined): Promise<void> {
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
