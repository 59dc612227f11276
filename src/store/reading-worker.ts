/** The thread behind ReadingThread: reads and hashes a bit of this tree, then of that, as it is asked to. */
import { createHash } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { dumpNar } from "../files/dump.ts";
import { Hash } from "../format/hash.ts";
import { KilnError } from "../util/kiln-error.ts";

/** Asks for the next bytes of a reading. The first request names the tree; one that is to end asks for nothing. */
export interface ReadRequest {
  readonly id: number;
  readonly tree?: string;
  /** That of pieces that are not needed any more: to be used again. */
  readonly memory?: readonly ArrayBuffer[];
  readonly end?: true;
}

/** What a request is answered with. After the last pieces, or an error, the reading is over. */
export interface ReadAnswer {
  readonly id: number;
  readonly pieces: readonly Uint8Array[];
  /** Of the whole NAR, with its last pieces. */
  readonly narHash?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

/** Bytes of one answer, about: the more, the longer is waited for it, and the fewer, the more often a thread is woken. */
const answerSize = 512 * 1024;

/** Bytes of one read of a large file. */
const chunkSize = 256 * 1024;

/** Memory of this size and more changes hands; of smaller pieces a copy is sent. */
const transferSize = 64 * 1024;

/** Memory that came back. */
const spare: ArrayBuffer[] = [];

/** What is kept of it is as much as some readings have under way. */
const mostSpare = 32;

function allocate(size: number): Buffer {
  return Buffer.from(spare.pop() ?? new ArrayBuffer(chunkSize), 0, size);
}

class Reading {
  readonly #chunks: Generator<Buffer, void, void>;
  readonly #hash = createHash("sha256");

  constructor(tree: string) {
    this.#chunks = dumpNar(tree, { chunkSize, allocate });
  }

  next(): Omit<ReadAnswer, "id"> {
    const pieces: Uint8Array[] = [];
    try {
      for (let size = 0; size < answerSize;) {
        const { done, value } = this.#chunks.next();
        if (done === true) {
          return { pieces, narHash: Hash.of("sha256", this.#hash.digest()).sri() };
        }
        this.#hash.update(value);
        pieces.push(value.buffer.byteLength >= transferSize ? value : Uint8Array.from(value));
        size += value.length;
      }
      return { pieces };
    } catch (thrown) {
      const { code, message } = KilnError.from(thrown);
      return { pieces: [], error: { code, message } };
    }
  }

  /** Gives back what it has open. */
  end(): void {
    this.#chunks.return();
  }
}

const readings = new Map<number, Reading>();

function answer({ id, tree, memory = [], end }: ReadRequest): void {
  for (const block of memory) {
    if (block.byteLength === chunkSize && spare.length < mostSpare) spare.push(block);
  }
  if (tree !== undefined) readings.set(id, new Reading(tree));
  const reading = readings.get(id);
  if (reading === undefined) return; // it is over, and this was asked before that was known
  if (end === true) {
    reading.end();
    readings.delete(id);
    return;
  }
  const next = reading.next();
  if (next.narHash !== undefined || next.error !== undefined) readings.delete(id);
  const given = next.pieces
    .map(({ buffer }) => buffer)
    .filter((buffer) => buffer instanceof ArrayBuffer);
  parentPort?.postMessage({ id, ...next }, [...new Set(given)]);
}

parentPort?.on("message", answer);
