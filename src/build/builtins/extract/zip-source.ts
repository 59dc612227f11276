import { readSync } from "node:fs";
import { RandomAccessReader } from "yauzl";
import type { SourceFile } from "./source-file.ts";

const pageSize = 64 * 1024;

/**
 * How yauzl sees the archive. It reads headers in bits of some bytes, forwards in the central directory and forwards among the
 * entries: two pages save it nearly all reads.
 */
export class ZipSource extends RandomAccessReader {
  readonly #source: SourceFile;
  /** The most recently used page comes last. */
  #pages: { start: number; bytes: Buffer }[] = [];

  constructor(source: SourceFile) {
    super();
    this.#source = source;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead: number) => void,
  ): void {
    let bytesRead = 0;
    try {
      bytesRead = this.#read(buffer.subarray(offset, offset + length), position);
    } catch (error) {
      process.nextTick(callback, error, 0);
      return;
    }
    process.nextTick(callback, null, bytesRead);
  }

  override _readStreamForRange(): never {
    throw new TypeError("contents are not read through yauzl");
  }

  #read(target: Buffer, position: number): number {
    if (target.length > pageSize)
      return readSync(this.#source.fd, target, 0, target.length, position);
    const cached = this.#pages.find(({ start, bytes }) => {
      return start <= position && position + target.length <= start + bytes.length;
    });
    const page = cached ?? this.#load(position);
    this.#pages = [...this.#pages.filter((other) => other !== page).slice(-1), page];
    const from = position - page.start;
    return page.bytes.copy(target, 0, from, from + target.length);
  }

  #load(start: number): { start: number; bytes: Buffer } {
    const bytes = Buffer.allocUnsafe(pageSize);
    return {
      start,
      bytes: bytes.subarray(0, readSync(this.#source.fd, bytes, 0, pageSize, start)),
    };
  }
}
