/**
 * Lines of a builder's log, by number from 1, without reading what lies before them: beside a long log lies an index (see
 * `build-log.ts`). A log without one, as zb leaves them, is read once and remembered.
 */
import { Buffer } from "node:buffer";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { indexPath, linesPerEntry } from "./build-log.ts";
import { errorCode } from "../files/file-error.ts";

const chunkSize = 256 * 1024;
const lineEnd = 10;

/** The most characters of a line that are given. */
export const maxLineLength = 10_000;

/** Bytes of a log after which {@link LogLines.read} gives no more lines. */
const maxReadBytes = 4 * 1024 * 1024;

export interface LogLine {
  /** From 1. */
  readonly number: number;
  /** Bytes that are not UTF-8 are U+FFFD. */
  readonly text: string;
  /** Where it begins in the log, in bytes. */
  readonly offset: number;
  /** Bytes, without its end. */
  readonly length: number;
  /** Whether `text` is only its beginning. */
  readonly isCut: boolean;
}

/** A log file, open at the size it had then. */
export class LogLines implements AsyncDisposable {
  /** Bytes. */
  readonly size: number;
  readonly #file: FileHandle | undefined;
  /** Where line `linesPerEntry * (i + 1) + 1` begins. */
  readonly #starts: readonly number[];
  #count: number | undefined;

  private constructor(file: FileHandle | undefined, size: number, starts: readonly number[]) {
    this.#file = file;
    this.size = size;
    this.#starts = starts;
  }

  /** A file that is absent is a log without lines. */
  static async open(path: string): Promise<LogLines> {
    let file: FileHandle;
    try {
      file = await open(path, "r");
    } catch (error) {
      if (errorCode(error) === "ENOENT") return new LogLines(undefined, 0, []);
      throw error;
    }
    try {
      const { size } = await file.stat();
      const starts = (await indexBeside(path)).filter((start) => start <= size);
      return new LogLines(file, size, starts.length > 0 ? starts : await indexOf(file, path, size));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
  }

  /** How many lines there are; one without an end counts, too. */
  async count(): Promise<number> {
    this.#count ??= await this.lineAt(this.size);
    const endsLine = this.size === 0 || (await this.#byteAt(this.size - 1)) === lineEnd;
    return this.#count - (endsLine ? 1 : 0);
  }

  /** The number of the line that the byte at `offset` is in (at the end of the log, would be in). */
  async lineAt(offset: number): Promise<number> {
    const end = Math.min(offset, this.size);
    const entry = entriesUpTo(this.#starts, end);
    let line = entry * linesPerEntry + 1;
    for await (const chunk of this.chunks(this.#starts[entry - 1] ?? 0, end)) {
      line += countLineEnds(chunk);
    }
    return line;
  }

  /** Lines from number `from`, at most `count`; fewer when they are very long. */
  async read(from: number, count: number): Promise<LogLine[]> {
    const entry = Math.min(Math.floor((from - 1) / linesPerEntry), this.#starts.length);
    const start = this.#starts[entry - 1] ?? 0;
    const lines: LogLine[] = [];
    let number = entry * linesPerEntry + 1;
    let offset = start;
    let pending = new PendingLine();
    const take = (): boolean => {
      if (number >= from) lines.push(pending.line(number, offset));
      offset += pending.length + 1;
      number++;
      pending = new PendingLine();
      return lines.length < count;
    };
    for await (const chunk of this.chunks(start, this.size)) {
      let at = 0;
      for (let end; (end = chunk.indexOf(lineEnd, at)) !== -1; at = end + 1) {
        pending.add(chunk.subarray(at, end));
        if (!take()) return lines;
      }
      pending.add(chunk.subarray(at));
      const firstOffset = lines[0]?.offset;
      if (firstOffset !== undefined && offset - firstOffset > maxReadBytes) return lines;
    }
    if (pending.length > 0) take();
    return lines;
  }

  /** The bytes from `start` to before `end`, in pieces. */
  async *chunks(start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    if (this.#file !== undefined) yield* piecesOf(this.#file, start, end);
  }

  async #byteAt(offset: number): Promise<number | undefined> {
    for await (const chunk of this.chunks(offset, offset + 1)) return chunk[0];
    return undefined;
  }
}

/** A line that is being read; only its beginning is kept. */
class PendingLine {
  length = 0;
  readonly #kept: Buffer[] = [];
  #keptLength = 0;

  add(bytes: Buffer): void {
    this.length += bytes.length;
    // Enough for the characters wanted, four bytes each at most, and one more to see that there is more.
    const wanted = (maxLineLength + 1) * 4 - this.#keptLength;
    if (wanted <= 0 || bytes.length === 0) return;
    this.#kept.push(bytes.subarray(0, wanted));
    this.#keptLength += Math.min(bytes.length, wanted);
  }

  line(number: number, offset: number): LogLine {
    const text = Buffer.concat(this.#kept).toString("utf8");
    const isCut = text.length > maxLineLength;
    const shown = isCut ? text.slice(0, maxLineLength).toWellFormed() : text;
    return { number, text: shown, offset, length: this.length, isCut };
  }
}

export function countLineEnds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(lineEnd); at !== -1; at = bytes.indexOf(lineEnd, at + 1)) count++;
  return count;
}

/** How many entries say an offset of at most `end`. */
function entriesUpTo(starts: readonly number[], end: number): number {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] ?? Infinity) <= end) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function indexBeside(path: string): Promise<number[]> {
  try {
    const bytes = await readFile(indexPath(path));
    return Array.from({ length: Math.floor(bytes.length / 8) }, (_, i) =>
      Number(bytes.readBigUInt64LE(i * 8)),
    );
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Indexes made here, of logs that had none, the latest last. */
const made = new Map<string, readonly number[]>();
const mostMade = 16;

/** A log without an index is short, or was not written by Kiln. */
async function indexOf(file: FileHandle, path: string, size: number): Promise<readonly number[]> {
  if (size < 4 * chunkSize) return [];
  const key = `${size} ${path}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  const starts: number[] = [];
  let lines = 0;
  let offset = 0;
  for await (const chunk of piecesOf(file, 0, size)) {
    for (let at = chunk.indexOf(lineEnd); at !== -1; at = chunk.indexOf(lineEnd, at + 1)) {
      if (++lines % linesPerEntry === 0) starts.push(offset + at + 1);
    }
    offset += chunk.length;
  }
  made.set(key, starts);
  for (const old of [...made.keys()].slice(0, -mostMade)) made.delete(old);
  return starts;
}

/** The bytes of a file from `start` to before `end`, in pieces that are the caller's to keep. */
async function* piecesOf(
  file: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<Buffer, void, undefined> {
  for (let at = start; at < end;) {
    const buffer = Buffer.allocUnsafe(Math.min(chunkSize, end - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
