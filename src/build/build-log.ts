/**
 * Builders' logs on disk: written once, in the order the bytes arrive, and followed without polling.
 *
 * Beside a log of 1,000 lines or more lies a sparse index, `<name>.lines`: after each 1,000 lines the byte offset at which the
 * next line begins, as a 64-bit little-endian number. Line 1,000 n (from 0) begins at entry n - 1.
 */
import { Buffer } from "node:buffer";
import { closeSync, fchmodSync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolders } from "../files/make-folders.ts";
import { objectNameOf, type StorePath } from "../format/store-path.ts";
import { spaceHint } from "../files/file-error.ts";
import { KilnError } from "../util/kiln-error.ts";
import { abortable } from "./event-log.ts";
import type { LogSink } from "./executor.ts";

/** Lines per entry of the index. */
export const linesPerEntry = 1000;

/** The most bytes one call of {@link readLogFile} gives. */
export const maxLogChunk = 65536;

/** Where the logs of a build lie: `<directory>/<first 4 of the id>/<id>`. */
export function logFolder(directory: string, buildID: string): string {
  return join(directory, buildID.slice(0, 4), buildID);
}

/** Where the log of a derivation in a build lies, in the folder of the build: `<derivation's name>.txt`. */
export function logPath(directory: string, buildID: string, drvPath: StorePath): string {
  const name = objectNameOf(drvPath).replace(/\.drv$/, "");
  return join(logFolder(directory, buildID), `${name}.txt`);
}

/** Where the index of the log at `path` lies. */
export function indexPath(path: string): string {
  return `${path.replace(/\.txt$/, "")}.lines`;
}

/** A log that is being written. The file, which must not exist, is made with the first bytes. */
export class BuildLog implements LogSink, Disposable {
  readonly path: string;
  #isFinished = false;
  #descriptor: number | undefined;
  #size = 0;
  #lines = 0;
  #index: number | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(path: string) {
    this.path = path;
  }

  /** Bytes written. */
  get size(): number {
    return this.#size;
  }

  get finished(): boolean {
    return this.#isFinished;
  }

  /** @throws KilnError `log.write` (`disk.full` when it is) */
  write(chunk: Uint8Array): void {
    if (this.#isFinished) throw new Error(`log ${this.path} is finished`);
    try {
      this.#descriptor ??= createForAppending(this.path);
      writeWhole(this.#descriptor, chunk);
      this.#indexLines(chunk);
    } catch (error) {
      throw logError(this.path, error);
    }
    this.#size += chunk.length;
    this.#awaken();
  }

  /** Adds a line of Kiln's own; a builder's unfinished line before it stays as it is. */
  line(text: string): void {
    this.write(Buffer.from(`${text}\n`));
  }

  /** The log is whole. Readers that wait learn of it. */
  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    if (this.#index !== undefined) closeSync(this.#index);
    this.#awaken();
  }

  [Symbol.dispose](): void {
    this.finish();
  }

  /** Waits until there are more than `offset` bytes or the log is finished. Rejects with the reason of `signal`. */
  async beyond(offset: number, signal?: AbortSignal): Promise<void> {
    while (this.#size <= offset && !this.finished) await abortable(this.#wake.promise, signal);
  }

  #indexLines(chunk: Uint8Array): void {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) {
      if (++this.#lines % linesPerEntry !== 0) continue;
      this.#index ??= createForAppending(indexPath(this.path));
      const entry = Buffer.alloc(8);
      entry.writeBigUInt64LE(BigInt(this.#size + at + 1));
      writeWhole(this.#index, entry);
    }
  }

  #awaken(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** Adds a line to a log nobody writes any more; makes it if it is absent. */
export function appendToLog(path: string, text: string): void {
  makeFolders(dirname(path));
  const descriptor = openSync(path, "a", 0o644);
  try {
    writeWhole(descriptor, Buffer.from(`${text}\n`));
  } finally {
    closeSync(descriptor);
  }
}

/** Up to `length` bytes from `offset`, at most {@link maxLogChunk}; undefined when the file is absent. */
export async function readLogFile(
  path: string,
  offset: number,
  length: number,
): Promise<{ bytes: Buffer; size: number } | undefined> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const wanted = Math.max(0, Math.min(length, maxLogChunk, size - offset));
    const bytes = Buffer.allocUnsafe(wanted);
    let filled = 0;
    while (filled < wanted) {
      const { bytesRead } = await file.read(bytes, filled, wanted - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return { bytes: bytes.subarray(0, filled), size };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw logError(path, error);
  }
}

/** The last lines of a log, at most `count`, from its last 64 KiB. */
export async function lastLines(path: string, count: number): Promise<string[]> {
  const whole = await readLogFile(path, 0, 0);
  if (whole === undefined) return [];
  const start = Math.max(0, whole.size - maxLogChunk);
  const tail = await readLogFile(path, start, maxLogChunk);
  const lines = (tail?.bytes.toString("utf8") ?? "").split("\n");
  if (lines.at(-1) === "") lines.pop();
  if (start > 0) lines.shift(); // probably cut
  return lines.slice(-count);
}

function createForAppending(path: string): number {
  const make = (): number => {
    const descriptor = openSync(path, "ax", 0o644);
    fchmodSync(descriptor, 0o644); // whatever the umask is
    return descriptor;
  };
  try {
    return make();
  } catch (error) {
    if (!isAbsent(error)) throw logError(path, error);
  }
  try {
    makeFolders(dirname(path), 0o755);
    return make();
  } catch (error) {
    throw logError(path, error);
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function logError(path: string, error: unknown): KilnError {
  if (error instanceof KilnError) return error;
  const full = error instanceof Error && "code" in error && error.code === "ENOSPC";
  const why = error instanceof Error ? error.message : String(error);
  return new KilnError(full ? "disk.full" : "log.write", `cannot write the log ${path}: ${why}`, {
    kind: "internal",
    path,
    cause: error,
    ...(full ? { hint: spaceHint } : {}),
  });
}
