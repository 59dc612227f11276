/**
 * The readable half of a stream, chunk by chunk, taken only when asked for: who does not read is not sent more. Unlike a stream's
 * own iterator it leaves the writable half alone at the end, it gives what was received before it tells that the stream has failed,
 * and it can be stopped from outside.
 */
import type { Readable } from "node:stream";
import { KilnError } from "../util/kiln-error.ts";

export class StreamSource implements AsyncIterable<Buffer>, AsyncIterator<Buffer, undefined> {
  readonly #stream: Readable;
  readonly #onReadable = (): void => this.#wake?.();
  #ended = false;
  #error: Error | undefined;
  /** Ends the wait for the next chunk. */
  #wake: (() => void) | undefined;
  #waitingSince: number | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on("readable", this.#onReadable);
    stream.on("end", () => this.stop());
    stream.on("error", (error) => {
      this.#error ??= error;
      this.#wake?.();
    });
    stream.on("close", () => {
      if (!this.#ended) {
        this.#error ??= new KilnError("socket.interrupted", "the connection was interrupted");
      }
      this.#wake?.();
    });
  }

  /** Since when a chunk is waited for, as `performance.now()` counts; undefined while none is. */
  get waitingSince(): number | undefined {
    return this.#waitingSince;
  }

  /** From now on the stream looks ended: nothing more is read. */
  stop(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Stops, and drops what still comes: the other side can send its last and end. */
  discard(): void {
    this.stop();
    this.#stream.off("readable", this.#onReadable);
    this.#stream.resume();
  }

  /** Not before the one before it is done. @throws the stream's error, after all that came before it */
  async next(): Promise<IteratorResult<Buffer, undefined>> {
    for (;;) {
      if (this.#ended) return { done: true, value: undefined };
      const chunk: Buffer | null = this.#stream.read();
      if (chunk !== null) {
        this.#waitingSince = undefined;
        return { done: false, value: chunk };
      }
      if (this.#error !== undefined) throw this.#error;
      this.#waitingSince ??= performance.now();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
