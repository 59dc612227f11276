/**
 * Messages on a byte stream: header fields, an empty line, a body. See docs/protocol.md.
 *
 *     Content-Length: 45 CRLF
 *     Content-Type: application/zb-store-rpc+json CRLF
 *     CRLF
 *     {"jsonrpc":"2.0","method":"zb.nop","id":"1"}
 *
 * A JSON message is read whole and always has a length. An export may have none: who reads it finds its end. Everything else is
 * skipped, or is a fault when nobody can know where it ends. After a fault the stream means nothing any more.
 */
import { ByteReader, GatheredBytes, type ByteSource } from "../util/byte-reader.ts";
import { KilnError } from "../util/kiln-error.ts";
import { HeaderParser, type HeaderLimits, type Headers } from "./headers.ts";

export const rpcContentType = "application/zb-store-rpc+json";
export const exportContentType = "application/zb-store-export";

export interface FrameLimits extends HeaderLimits {
  /** Bytes of a JSON message's body. */
  readonly messageBytes: number;
}

/** zb's limit of a JSON message, and Kiln's bounds of a header. */
export const defaultFrameLimits: FrameLimits = {
  headerBytes: 65_536,
  headerFields: 64,
  messageBytes: 1_048_576,
};

/** One message. Of an export only the header has been read: its body has to be read before the next message. */
export type Frame =
  | { readonly type: "rpc"; readonly body: Buffer }
  | {
      readonly type: "export";
      readonly headers: Headers;
      /** Bytes of the body; undefined when it ends where the export ends. */
      readonly length: number | undefined;
    };

/** Reads one message after the other. */
export class FrameReader {
  readonly #reader: ByteReader;
  readonly #limits: FrameLimits;
  #begun: number | undefined;

  constructor(reader: ByteReader, limits: FrameLimits = defaultFrameLimits) {
    this.#reader = reader;
    this.#limits = limits;
  }

  /** Since when a message is being read that has begun and is not complete, as `performance.now()` counts. */
  get begun(): number | undefined {
    return this.#begun;
  }

  /**
   * The next message; undefined when the stream ended after the one before.
   *
   * @throws KilnError `frame.header`, `frame.headerSize`, `frame.length`, `frame.size`, `stream.truncated`, and what the source
   * throws.
   */
  async next(): Promise<Frame | undefined> {
    try {
      return await this.#next();
    } finally {
      this.#begun = undefined;
    }
  }

  async #next(): Promise<Frame | undefined> {
    for (;;) {
      const headers = await this.#headers();
      if (headers === undefined) return undefined;
      const length = contentLength(headers);
      const type = headers.get("Content-Type");
      if (type === exportContentType) return { type: "export", headers, length };
      if (length === undefined) {
        throw new KilnError("frame.length", `a message of type ${type ?? "(none)"} has no length`);
      }
      if (type === rpcContentType) {
        const limit = this.#limits.messageBytes;
        if (length > limit) {
          throw new KilnError("frame.size", `a message has ${length} bytes, more than ${limit}`);
        }
        return { type: "rpc", body: await this.#reader.exact(length) };
      }
      await new FrameBody(this.#reader, length).skip();
      this.#begun = undefined;
    }
  }

  async #headers(): Promise<Headers | undefined> {
    const parser = new HeaderParser(this.#limits);
    /** A line whose end is not there yet. */
    const begun = new GatheredBytes();
    for (let isFirst = true; ; isFirst = false) {
      const bytes = this.#reader.buffered() ?? (await this.#reader.chunk());
      if (bytes === undefined) {
        if (isFirst) return undefined;
        throw truncated("the header of a message");
      }
      this.#begun ??= performance.now();
      let start = 0;
      for (let end; (end = bytes.indexOf(0x0a, start)) !== -1; start = end + 1) {
        begun.add(bytes.subarray(start, end));
        if (!parser.line(begun.take())) continue;
        this.#reader.unread(bytes.subarray(end + 1));
        return parser.headers;
      }
      begun.add(bytes.subarray(start));
      parser.check(begun.length);
    }
  }
}

/** A body of known length. Give {@link reader} to who wants it; {@link skip} what they left. */
export class FrameBody implements AsyncIterable<Buffer> {
  readonly reader: ByteReader = new ByteReader(this);
  readonly #source: ByteSource;
  #left: number;

  constructor(source: ByteSource, length: number) {
    this.#source = source;
    this.#left = length;
  }

  /** Reads to the end of the body. @throws KilnError `stream.truncated` */
  async skip(): Promise<void> {
    while ((await this.#chunk()) !== undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let bytes; (bytes = await this.#chunk()) !== undefined;) yield bytes;
  }

  async #chunk(): Promise<Buffer | undefined> {
    if (this.#left === 0) return undefined;
    const bytes = await this.#source.chunk();
    if (bytes === undefined) throw truncated("the body of a message");
    const mine = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#source.unread(bytes.subarray(mine.length));
    this.#left -= mine.length;
    return mine;
  }
}

/** A JSON message as it is sent. */
export function rpcFrame(json: string): string {
  return `Content-Length: ${Buffer.byteLength(json)}\r\nContent-Type: ${rpcContentType}\r\n\r\n${json}`;
}

/** An empty value counts as absent, as in zb. */
function contentLength(headers: Headers): number | undefined {
  const text = headers.get("Content-Length");
  if (text === undefined || text === "") return undefined;
  const length = /^[+-]?0*[0-9]{1,19}$/.test(text) ? BigInt(text.replace(/^\+/, "")) : -1n;
  if (length < 0n || length > 0x7fff_ffff_ffff_ffffn) {
    throw new KilnError("frame.length", `Content-Length ${JSON.stringify(text.slice(0, 40))}`);
  }
  // Nobody sends 2^53 bytes; what matters is that such a length is not taken for a short one.
  return length > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(length);
}

function truncated(what: string): KilnError {
  return new KilnError("stream.truncated", `the stream ended inside ${what}`);
}
