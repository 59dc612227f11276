/** One look at what a builder made: its content address, and whose paths are mentioned in it. */
import { chmodSync } from "node:fs";
import { dumpNar } from "../../files/dump.ts";
import { hold } from "../../files/directory.ts";
import { attempt } from "../../files/file-error.ts";
import { inSlices } from "../../files/slices.ts";
import { walk } from "../../files/walk.ts";
import { ReferenceScanner } from "../../format/references/scan.ts";
import {
  SelfReferenceAnalyzer,
  type MachoBufferCreator,
  type SelfReferenceAnalysis,
} from "../../format/references/self-references.ts";
import type { StorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { lookAt, type LookOptions } from "./look.ts";

export interface ScanRequest extends LookOptions {
  /** Digest of the path that the builder knew the output by. */
  readonly digest: string;
  /** Digests to look for beside the output's own. */
  readonly candidates: readonly string[];
  /** Those among the candidates that will be replaced by others: where that cannot be done, they are refused. */
  readonly replaceable: ReadonlySet<string>;
  readonly buffers?: MachoBufferCreator | undefined;
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
  const { digest, candidates } = request;
  const scanner = new ReferenceScanner([...candidates, digest]);
  const look = await lookAt(tree, request, (chunk, isPlain) => {
    scanner.write(chunk);
    return isPlain && !scanner.hasFound(digest);
  });
  if (look === undefined) return undefined;
  const { sourceHash, ...rest } = look;
  const nothing = { rewrites: [], paths: [], members: [], self: false };
  const ca = { method: "recursive", hash: sourceHash } as const;
  return { ca, ...nothing, ...rest, found: foundBy(scanner, request) };
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
