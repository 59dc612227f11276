/**
 * The writable half of a connection: whole messages, one after the other.
 *
 * Small messages of one turn of the event loop become one write. An export is one message however long it takes; what else is to
 * be sent waits for its end. Nothing is handed to the stream before it took what came before, so what piles up is known
 * ({@link MessageWriter.unsent}) and a reader that stopped is noticed.
 */
import type { Writable } from "node:stream";
import { KilnError } from "../util/kiln-error.ts";
import { exportContentType, rpcFrame } from "./frame.ts";
import type { Headers } from "./headers.ts";

/** Bytes of an export, in order. A chunk must not change after it was given. */
export type Chunks = AsyncIterable<Buffer> | Iterable<Buffer>;

export interface WriterOptions {
  /** Milliseconds a write may take without progress; Infinity waits for ever. */
  readonly stallTimeout: number;
  /** Called once, when nothing can be sent any more: the connection has to be given up. */
  readonly onFault: (fault: KilnError) => void;
}

interface Export {
  readonly headers: Headers;
  readonly chunks: Chunks;
  /** Says that it can not be taken back any more. */
  readonly started: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What one write to the stream may have: the measure of progress. */
const pieceSize = 262_144;

export class MessageWriter {
  readonly #stream: Writable;
  readonly #options: WriterOptions;
  readonly #stallTimer: NodeJS.Timeout | undefined;
  #queue: (string | Export)[] = [];
  #isPumping = false;
  #unsent = 0;
  #fault: KilnError | undefined;
  /** Of the write that is under way. */
  #rejectWrite: ((fault: KilnError) => void) | undefined;
  #drainWaiters: (() => void)[] = [];
  #drainMark = 0;

  constructor(stream: Writable, options: WriterOptions) {
    this.#stream = stream;
    this.#options = options;
    const { stallTimeout } = options;
    if (stallTimeout !== Infinity) {
      this.#stallTimer = setTimeout(() => this.#onStallTimer(), stallTimeout).unref();
    }
  }

  /** Bytes of small messages that the stream has not taken yet. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Sends a JSON message, in its turn. Without effect once the connection has failed. */
  send(json: string): void {
    if (this.#fault !== undefined) return;
    const text = rpcFrame(json);
    this.#queue.push(text);
    this.#unsent += text.length;
    this.#schedule();
  }

  /**
   * Sends an export message, in its turn, and resolves when the stream has taken it. When `chunks` fails midway the connection is
   * lost, since the message cannot be ended. `signal` counts only until the first byte is sent.
   *
   * @throws what `chunks` throws, the reason of `signal`, KilnError when the connection fails.
   */
  sendExport(headers: Headers, chunks: Chunks, signal?: AbortSignal): Promise<void> {
    headers.set("Content-Type", exportContentType);
    return new Promise((resolve, reject) => {
      if (this.#fault !== undefined) return reject(this.#fault);
      const started = (): void => signal?.removeEventListener("abort", onAbort);
      const item: Export = { headers, chunks, started, resolve, reject };
      const onAbort = (): void => {
        const reason: unknown = signal?.reason;
        this.#queue = this.#queue.filter((queued) => queued !== item);
        reject(reason);
      };
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#queue.push(item);
      this.#schedule();
    });
  }

  /** Resolves when at most `mark` bytes are unsent, or the connection has failed. */
  async drained(mark = 0): Promise<void> {
    const isDone = (): boolean => this.#unsent <= mark && (mark > 0 || !this.#isPumping);
    while (this.#fault === undefined && !isDone()) {
      this.#drainMark = Math.max(mark, this.#drainMark);
      await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
    }
  }

  /** Sends nothing, to find out whether there is still somebody who could read. */
  probe(): void {
    if (this.#isPumping || this.#fault !== undefined) return;
    this.#stream.write(Buffer.alloc(0), (error) => {
      if (error) this.fail(interrupted(error));
    });
  }

  /** Ends the stream after everything has been sent; resolves when the stream took that, or failed. */
  async end(): Promise<void> {
    await this.drained();
    if (this.#fault !== undefined) return;
    const ended = this.#guarded((done) => this.#stream.end(done));
    await ended.catch((error: unknown) => this.fail(KilnError.from(error)));
    clearTimeout(this.#stallTimer);
  }

  /** Gives up: nothing is sent any more, exports that wait fail with `fault`. */
  fail(fault: KilnError): void {
    if (this.#fault !== undefined) return;
    this.#fault = fault;
    clearTimeout(this.#stallTimer);
    this.#rejectWrite?.(fault);
    for (const queued of this.#queue) {
      if (typeof queued === "string") continue;
      queued.started();
      queued.reject(fault);
    }
    this.#queue = [];
    this.#unsent = 0;
    this.#releaseWaiters();
    this.#options.onFault(fault);
  }

  /** After the turn's promises have run, so that the answers to all requests of one chunk go out together. */
  #schedule(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    process.nextTick(() => void this.#pump());
  }

  async #pump(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const [first] = this.#queue;
        if (typeof first === "object") {
          this.#queue.shift();
          await this.#writeExport(first);
        } else {
          await this.#writeTexts();
        }
      }
    } catch (error) {
      this.fail(error instanceof KilnError ? error : interrupted(error));
    }
    this.#isPumping = false;
    this.#releaseWaiters();
  }

  async #writeTexts(): Promise<void> {
    let count = 0;
    let text = "";
    for (const queued of this.#queue) {
      if (typeof queued !== "string") break;
      text += queued;
      count++;
    }
    this.#queue.splice(0, count);
    await this.#write(Buffer.from(text));
    this.#unsent -= text.length;
    if (this.#unsent <= this.#drainMark) this.#releaseWaiters();
  }

  async #writeExport(item: Export): Promise<void> {
    item.started();
    try {
      await this.#write(Buffer.from(item.headers.toString()));
      for await (const chunk of item.chunks) await this.#write(chunk);
      item.resolve();
    } catch (error) {
      item.reject(error);
      throw new KilnError("socket.broken", "the connection ended inside an export", {
        kind: "internal",
        cause: error,
      });
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceSize) {
      if (this.#fault !== undefined) throw this.#fault;
      const piece = bytes.length <= pieceSize ? bytes : bytes.subarray(at, at + pieceSize);
      await this.#guarded((done) => this.#stream.write(piece, done));
    }
  }

  /** One operation of the stream, with the clock running. */
  #guarded(operation: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#rejectWrite = reject;
      this.#stallTimer?.refresh();
      operation((error) => {
        this.#rejectWrite = undefined;
        if (error) reject(interrupted(error));
        else resolve();
      });
    });
  }

  #onStallTimer(): void {
    if (this.#rejectWrite === undefined) return;
    const seconds = this.#options.stallTimeout / 1000;
    this.fail(new KilnError("socket.stalled", `the other side read nothing for ${seconds} s`));
  }

  #releaseWaiters(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    this.#drainMark = 0;
    for (const resolve of waiters) resolve();
  }
}

/** The fault of a connection that the other side has left. */
export function interrupted(cause?: unknown): KilnError {
  return new KilnError("socket.interrupted", "the connection was interrupted", { cause });
}
