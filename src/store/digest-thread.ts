/**
 * Hashes large NARs in a thread, while the daemon's own goes on to receive and write them.
 *
 * One thread serves all. Blocks of memory change hands: a full one goes to the thread, and comes back when it was hashed.
 */
import { Buffer } from "node:buffer";
import type { Worker } from "node:worker_threads";
import { KilnError } from "../util/kiln-error.ts";
import { startThread } from "../util/start-thread.ts";
import type { DigestAnswer, DigestRequest } from "./digest-worker.ts";

/** Bytes of a block. Of one that is not filled, the system gives memory only for the part that was used. */
export const blockSize: number = 1024 * 1024;

/** Blocks that are kept for the next who needs one. */
const mostSpare = 4;

/**
 * Blocks that may wait for the first answer of the thread, which takes a while to start. More of them would have V8 look through all memory in
 * the middle of an import, which takes longer than what they save.
 */
const mostAtStart = 12;

/** Hears what becomes of a digest. */
type Listener = (answer: DigestAnswer | { readonly failure: KilnError }) => void;

/** Sends blocks of a digest, or its end. */
export type Send = (request: Omit<DigestRequest, "id">) => void;

export class DigestThread implements AsyncDisposable {
  #worker: Worker | undefined;
  #count = 0;
  readonly #listeners = new Map<number, Listener>();
  readonly #spare: Buffer[] = [];
  /** Blocks that were sent before it has answered for the first time; undefined from then on. */
  #sentAtStart: number | undefined = 0;

  /** Whether it costs nothing to start it. */
  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** Whether it may be sent more than it can have hashed by now: it has not answered yet, and may still be starting. */
  get takesAhead(): boolean {
    return this.#sentAtStart !== undefined && this.#sentAtStart < mostAtStart;
  }

  /** Starts it, so that the first digest need not wait for it. */
  warm(): void {
    if (this.#worker !== undefined) return;
    try {
      this.#worker = this.#start();
      this.#worker.unref();
    } catch {
      // No thread can be had now. Who needs it gets to know.
    }
  }

  /** Memory to gather bytes in. */
  takeBlock(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(blockSize);
  }

  /** Nothing of the block is needed any more. */
  giveBlock(block: Buffer): void {
    if (this.#spare.length < mostSpare) this.#spare.push(block);
  }

  /** Begins a digest; the result sends its blocks and its end. It is over with its end, or with a failure. */
  begin(listener: Listener): Send {
    const id = this.#count++;
    const worker = (this.#worker ??= this.#start());
    this.#listeners.set(id, listener);
    worker.ref();
    return (request) => {
      if (!this.#listeners.has(id)) return;
      const memory = request.bytes?.buffer;
      if (memory !== undefined && this.#sentAtStart !== undefined) this.#sentAtStart++;
      worker.postMessage({ id, ...request }, memory instanceof ArrayBuffer ? [memory] : []);
      if (request.end === "drop") this.#forget(id, worker);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = startThread("digest-worker", import.meta.url);
    this.#sentAtStart = 0;
    worker.on("message", (answer: DigestAnswer) => this.#hear(answer, worker));
    let failure = new KilnError("internal", "the thread that hashes has ended");
    worker.on("error", (error) => (failure = KilnError.from(error)));
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
      const listeners = [...this.#listeners.values()];
      this.#listeners.clear();
      for (const tell of listeners) tell({ failure });
    });
    return worker;
  }

  #hear(answer: DigestAnswer, worker: Worker): void {
    this.#sentAtStart = undefined;
    if (answer.memory !== undefined) this.giveBlock(Buffer.from(answer.memory));
    const tell = this.#listeners.get(answer.id);
    if (answer.whole !== undefined) this.#forget(answer.id, worker);
    tell?.(answer);
  }

  #forget(id: number, worker: Worker): void {
    this.#listeners.delete(id);
    // An idle thread keeps no process alive.
    if (this.#listeners.size === 0) worker.unref();
  }
}
