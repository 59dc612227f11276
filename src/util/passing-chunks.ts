/**
 * Chunks that are used up by the time the next one is asked for, such as those of a large object that comes through a socket. Their
 * memory is given back then and there: left to the garbage collector, it would take as much time as reading does.
 */
import type { ByteSource } from "./byte-reader.ts";

/** Smaller chunks are not worth it. */
const worthReleasing = 16 * 1024;

/** `source` gives its chunks away: nobody else has them, nor keeps a part of them. */
export class PassingChunks implements ByteSource {
  readonly #source: ByteSource;
  #last: Buffer | undefined;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** The next bytes. No part of those before is to be used any more. */
  async chunk(): Promise<Buffer | undefined> {
    if (this.#last !== undefined) release(this.#last);
    this.#last = await this.#source.chunk();
    return this.#last;
  }

  unread(rest: Buffer): void {
    this.#last = undefined;
    this.#source.unread(rest);
  }
}

/** Frees the memory of a chunk that has it for itself: what shares it with others is only a part of it. */
export function release({ buffer, byteLength }: Buffer): void {
  if (byteLength < worthReleasing || byteLength !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
