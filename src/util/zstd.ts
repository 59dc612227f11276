/**
 * Zstandard decompression of any number of frames, one after the other.
 *
 * Node 24's decoder ends, in silence, at the first frame whose end is not the end of a chunk: all that follows in the chunk is lost
 * (nodejs/node#64741). It says how much it has read, though, so what it left is given to a new decoder.
 */
import { createZstdDecompress, type ZstdDecompress } from "node:zlib";

/**
 * The decompressed bytes of `source`: frames and skippable frames in any number. No more is decompressed than is asked for, apart
 * from a buffer or two.
 *
 * Throws what node:zlib throws: `code` is `Z_BUF_ERROR` when the last frame is cut short, and begins with `ZSTD_error_` when the
 * data are damaged. Errors of `source` come through as they are.
 */
export async function* decompressZstd(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let decoder = new Decoder();
  try {
    for await (const chunk of source) {
      let rest = chunk;
      while (rest.length > 0) {
        rest = rest.subarray(yield* decoder.decode(rest));
        if (rest.length === 0) break;
        decoder.destroy();
        decoder = new Decoder();
      }
    }
    yield* decoder.finish();
  } finally {
    decoder.destroy();
  }
}

/** Node's decoder, read by hand, so that it can be asked how much it has read once it is done with a chunk. */
class Decoder {
  readonly #stream: ZstdDecompress = createZstdDecompress();
  #failure: Error | undefined;
  /** Set when something happened since the last look. */
  #changed = false;
  #wake: (() => void) | undefined;

  constructor() {
    this.#stream.on("error", (error) => {
      this.#failure = error;
      this.#notice();
    });
    this.#stream.on("readable", () => this.#notice());
    this.#stream.on("end", () => this.#notice());
  }

  /** Yields what `chunk` decompresses to and returns how much of it was read: all, unless a frame ended in it. */
  async *decode(chunk: Buffer): AsyncGenerator<Buffer, number, undefined> {
    const before = this.#stream.bytesWritten;
    let written = false;
    this.#stream.write(chunk, () => {
      written = true;
      this.#notice();
    });
    yield* this.#readUntil(() => written);
    return this.#stream.bytesWritten - before;
  }

  async *finish(): AsyncGenerator<Buffer, void, undefined> {
    this.#stream.end();
    yield* this.#readUntil(() => false);
  }

  destroy(): void {
    this.#stream.destroy();
  }

  /** Reads until `done` or the end of the stream, whichever comes first. */
  async *#readUntil(done: () => boolean): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      this.#changed = false;
      for (let read = this.#read(); read !== null; read = this.#read()) yield read;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#stream.readableEnded || done()) return;
      if (!this.#changed) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #read(): Buffer | null {
    const read: unknown = this.#stream.read();
    return Buffer.isBuffer(read) ? read : null;
  }

  #notice(): void {
    this.#changed = true;
    this.#wake?.();
    this.#wake = undefined;
  }
}
