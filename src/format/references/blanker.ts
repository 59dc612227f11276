import { Buffer } from "node:buffer";

/** Gets a stream in which every occurrence of the digest is zeros. */
export interface BlankedSink {
  /** Bytes without an occurrence; a view, valid only during the call. */
  plain(bytes: Buffer): void;
  /** An occurrence: {@link digestSize} zeros. */
  blank(): void;
}

/**
 * Finds the occurrences of a digest in a stream, leftmost first and not overlapping, however the stream is cut. The beginning of
 * what may become an occurrence is kept back until that is known; being a beginning of the digest, it need not be copied.
 */
export class Blanker {
  readonly #digest: Buffer;
  readonly #sink: BlankedSink;
  /** How many bytes of the digest the stream ended with so far. */
  #held = 0;

  constructor(digest: string, sink: BlankedSink) {
    this.#digest = Buffer.from(digest, "latin1");
    this.#sink = sink;
  }

  write(chunk: Buffer): void {
    const bytes =
      this.#held === 0 ? chunk : Buffer.concat([this.#digest.subarray(0, this.#held), chunk]);
    let at = 0;
    for (let found = bytes.indexOf(this.#digest); found !== -1;) {
      this.#pass(bytes, at, found);
      this.#sink.blank();
      at = found + this.#digest.length;
      found = bytes.indexOf(this.#digest, at);
    }
    this.#held = this.#beginningAtEnd(bytes, at);
    this.#pass(bytes, at, bytes.length - this.#held);
  }

  /** Ends the stream, and makes ready for another one. */
  end(): void {
    this.#pass(this.#digest, 0, this.#held);
    this.#held = 0;
  }

  #pass(bytes: Buffer, start: number, end: number): void {
    if (start < end) this.#sink.plain(bytes.subarray(start, end));
  }

  /** With how many bytes of the digest `bytes[start…]` ends, at most all but one. */
  #beginningAtEnd(bytes: Buffer, start: number): number {
    const longest = Math.min(this.#digest.length - 1, bytes.length - start);
    for (let length = longest; length > 0; length--) {
      const at = bytes.length - length;
      if (bytes[at] !== this.#digest[0]) continue;
      if (bytes.subarray(at).equals(this.#digest.subarray(0, length))) return length;
    }
    return 0;
  }
}
