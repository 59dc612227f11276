/**
 * Reads large trees as NARs in a thread, which hashes what it reads: the daemon's own thread only passes it on.
 *
 * One thread serves all. It never waits for whom it reads for: each reading asks for a bit more when it has got rid of a bit, and
 * is some bits ahead.
 */
import { Buffer } from "node:buffer";
import type { Worker } from "node:worker_threads";
import { type Hash, parseHash } from "../format/hash.ts";
import { KilnError } from "../util/kiln-error.ts";
import { startThread } from "../util/start-thread.ts";
import type { ReadAnswer, ReadRequest } from "./reading-worker.ts";

/** Trees that are read at once. Each has some megabytes in memory. */
const mostReadings = 8;

/** Answers that a reading is ahead of whom it reads for: 8 MiB. With half of that it often stood still on two processors. */
const ahead = 16;

export class ReadingThread implements AsyncDisposable {
  #worker: Worker | undefined;
  #count = 0;
  readonly #readings = new Map<number, (answer: ReadAnswer) => void>();

  /** Whether one more tree can be read now. */
  get isFree(): boolean {
    return this.#readings.size < mostReadings;
  }

  /**
   * The NAR of the tree at `tree`, and at the end its SHA-256. The chunks are the caller's to keep; with `reuse` only until the next one
   * is asked for: then their memory is used again.
   *
   * @throws KilnError what `dumpNar` throws
   */
  async *read(
    tree: string,
    { reuse = false }: { readonly reuse?: boolean } = {},
  ): AsyncGenerator<Buffer, Hash, void> {
    const id = this.#count++;
    const worker = (this.#worker ??= this.#start());
    const ask = (request: Omit<ReadRequest, "id">): void =>
      worker.postMessage({ id, ...request }, [...(request.memory ?? [])]);
    const answers: ReadAnswer[] = [];
    let arrived: (() => void) | undefined;
    this.#readings.set(id, (answer) => {
      answers.push(answer);
      arrived?.();
    });
    worker.ref();
    try {
      ask({ tree });
      for (let asked = 1; asked < ahead; asked++) ask({});
      for (;;) {
        const answer = answers.shift();
        if (answer === undefined) {
          await new Promise<void>((resolve) => (arrived = resolve));
          continue;
        }
        const { pieces, narHash, error } = answer;
        const memory = new Set<ArrayBuffer>();
        for (const { buffer, byteOffset, byteLength } of pieces) {
          yield Buffer.from(buffer, byteOffset, byteLength);
          if (reuse && buffer instanceof ArrayBuffer) memory.add(buffer);
        }
        if (error !== undefined) throw new KilnError(error.code, error.message, { path: tree });
        if (narHash !== undefined) return parseHash(narHash);
        ask({ memory: [...memory] });
      }
    } finally {
      ask({ end: true });
      this.#readings.delete(id);
      // An idle thread keeps no process alive.
      if (this.#readings.size === 0) worker.unref();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = startThread("reading-worker", import.meta.url);
    worker.on("message", (answer: ReadAnswer) => this.#readings.get(answer.id)?.(answer));
    let failure = "the thread ended";
    worker.on("error", (error) => (failure = KilnError.from(error).message));
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
      const error = { code: "internal", message: failure };
      for (const [id, tell] of this.#readings) tell({ id, pieces: [], error });
    });
    return worker;
  }
}
