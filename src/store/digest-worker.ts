/** The thread behind DigestThread: hashes the blocks of several NARs, as they come, and gives their memory back. */
import { createHash, type Hash as Hasher } from "node:crypto";
import { parentPort } from "node:worker_threads";

/** The next bytes of a digest, in memory that comes along; or its end. */
export interface DigestRequest {
  readonly id: number;
  readonly bytes?: Uint8Array;
  /** Whether its hashes are wanted, or nothing more. */
  readonly end?: "finish" | "drop";
}

export interface DigestAnswer {
  readonly id: number;
  /** What came with the request. */
  readonly memory?: ArrayBuffer;
  /** SHA-256 of all bytes. */
  readonly whole?: Uint8Array;
  /** SHA-256 of all bytes and a `|`. */
  readonly marked?: Uint8Array;
}

const hashers = new Map<number, Hasher>();

function take({ id, bytes, end }: DigestRequest): void {
  const hasher = hashers.get(id) ?? createHash("sha256");
  if (end === undefined) hashers.set(id, hasher);
  else hashers.delete(id);
  if (end === "finish") {
    const whole = hasher.copy().digest();
    send({ id, whole, marked: hasher.update("|").digest() });
  }
  if (bytes === undefined) return;
  hasher.update(bytes);
  const memory = bytes.buffer;
  if (memory instanceof ArrayBuffer) send({ id, memory }, memory);
}

function send(answer: DigestAnswer, ...memory: ArrayBuffer[]): void {
  parentPort?.postMessage(answer, memory);
}

parentPort?.on("message", take);
