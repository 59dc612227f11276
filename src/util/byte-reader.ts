/**
 * Exact lengths and lines out of an asynchronous source of bytes.
 *
 * A reader holds at most what was put back with `unread` and the chunk it is working on; how much one call may gather is
 * always said by the caller, so no peer can make it grow.
 */
import { KilnError } from "./kiln-error.ts";

/** Where bytes come from, with a way to give back what was not used. */
export interface ByteSource {
  /** The next bytes, at least one, as they become available; undefined at the end. */
  chunk(): Promise<Buffer | undefined>;
  /** Puts bytes back in front: the next `chunk` begins with them. */
  unread(rest: Buffer): void;
}

const newline = 0x0a;

/** For one consumer: no method may be called while another is still pending. */
export class ByteReader implements ByteSource {
  readonly #source: AsyncIterator<Buffer>;
  /** What was put back, the next bytes last. */
  readonly #unread: Buffer[] = [];

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async chunk(): Promise<Buffer | undefined> {
    for (;;) {
      const bytes = this.#unread.pop() ?? (await this.#next());
      if (bytes === undefined || bytes.length > 0) return bytes;
    }
  }

  unread(rest: Buffer): void {
    if (rest.length > 0) this.#unread.push(rest);
  }

  /** What is already in memory, without waiting; undefined when the next bytes have to come from the source. */
  buffered(): Buffer | undefined {
    return this.#unread.pop();
  }

  /**
   * Exactly `n` bytes.
   *
   * @throws KilnError `stream.truncated` when the source ends before.
   */
  async exact(n: number): Promise<Buffer> {
    const gathered = new GatheredBytes();
    for (let missing = n; missing > 0; missing = n - gathered.length) {
      const bytes = await this.chunk();
      if (bytes === undefined) throw truncated(`${n} bytes, after ${gathered.length}`);
      gathered.add(bytes.subarray(0, missing));
      this.unread(bytes.subarray(missing));
    }
    return gathered.take();
  }

  /**
   * The bytes up to the next `\n`, without it; a `\r` before it stays. Undefined when the source ended before the line began.
   *
   * @throws KilnError `stream.line` when the line has more than `maxBytes` bytes, `stream.truncated` when the source ends inside it.
   */
  async line(maxBytes: number): Promise<Buffer | undefined> {
    const gathered = new GatheredBytes();
    for (;;) {
      const bytes = await this.chunk();
      if (bytes === undefined) {
        if (gathered.length > 0) throw truncated("a line");
        return undefined;
      }
      const end = bytes.indexOf(newline);
      gathered.add(end === -1 ? bytes : bytes.subarray(0, end));
      if (gathered.length > maxBytes) {
        throw new KilnError("stream.line", `a line has more than ${maxBytes} bytes`);
      }
      if (end === -1) continue;
      this.unread(bytes.subarray(end + 1));
      return gathered.take();
    }
  }

  async #next(): Promise<Buffer | undefined> {
    const next = await this.#source.next();
    return next.done === true ? undefined : next.value;
  }
}

/**
 * Bytes that arrive in pieces. A single piece is passed on as it is; more are copied together as they come, so that a sender of
 * single bytes costs no more than one of many.
 */
export class GatheredBytes {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (this.#length === 0) {
      this.#bytes = piece;
    } else if (length > 0 && piece.length > 0) {
      if (length > this.#bytes.length) {
        const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#bytes.length, 64));
        this.#bytes.copy(larger, 0, 0, this.#length);
        this.#bytes = larger;
      }
      piece.copy(this.#bytes, this.#length);
    }
    this.#length = length;
  }

  /** What was gathered; the next piece begins anew. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    return bytes;
  }
}

function truncated(what: string): KilnError {
  return new KilnError("stream.truncated", `the stream ended inside ${what}`);
}
