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
    const parts: Buffer[] = [];
    for (let missing = n; missing > 0;) {
      const bytes = await this.chunk();
      if (bytes === undefined) throw truncated(`${n} bytes, after ${n - missing}`);
      parts.push(bytes.length > missing ? bytes.subarray(0, missing) : bytes);
      if (bytes.length > missing) this.unread(bytes.subarray(missing));
      missing -= Math.min(missing, bytes.length);
    }
    return parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts, n);
  }

  /**
   * The bytes up to the next `\n`, without it; a `\r` before it stays. Undefined when the source ended before the line began.
   *
   * @throws KilnError `stream.line` when the line has more than `maxBytes` bytes, `stream.truncated` when the source ends inside it.
   */
  async line(maxBytes: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    for (let length = 0; ;) {
      const bytes = await this.chunk();
      if (bytes === undefined) {
        if (length > 0) throw truncated("a line");
        return undefined;
      }
      const end = bytes.indexOf(newline);
      const part = end === -1 ? bytes : bytes.subarray(0, end);
      length += part.length;
      if (length > maxBytes) {
        throw new KilnError("stream.line", `a line has more than ${maxBytes} bytes`);
      }
      parts.push(part);
      if (end === -1) continue;
      this.unread(bytes.subarray(end + 1));
      return parts.length === 1 ? part : Buffer.concat(parts, length);
    }
  }

  async #next(): Promise<Buffer | undefined> {
    const next = await this.#source.next();
    return next.done === true ? undefined : next.value;
  }
}

function truncated(what: string): KilnError {
  return new KilnError("stream.truncated", `the stream ended inside ${what}`);
}
