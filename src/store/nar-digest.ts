/** The hashes of a NAR that is received: of a small one at once, of a large one in a thread. */
import { Buffer } from "node:buffer";
import { createHash, type Hash as Hasher } from "node:crypto";
import { Hash, hashBytes } from "../format/hash.ts";
import type { KilnError } from "../util/kiln-error.ts";
import { blockSize, type DigestThread, type Send } from "./digest-thread.ts";
import type { DigestAnswer } from "./digest-worker.ts";

/** A NAR with a file of this size is worth that the thread is started. */
const worthAThread = 8 * 1024 * 1024;

/** A NAR of this size may be hashed twice. */
const worthTwice = 8 * 1024;

/** Blocks that may wait to be hashed. */
const mostWaiting = 4;

export interface NarHashes {
  readonly narHash: Hash;
  /** Of the NAR and a `|`: an object's own hash ends in that, which goes before the offsets of its self references. */
  readonly sourceHash: Hash;
  /** Of the part that was asked for. */
  readonly partHash: Hash | undefined;
}

/** Whose end is neither {@link finish} nor {@link drop} keeps its memory for itself. */
export class NarDigest {
  readonly #thread: DigestThread;
  #block: Buffer;
  /** Bytes in the block. */
  #length = 0;
  #expected = 0;
  /** Where full blocks go: to the thread, or into a hash here. */
  #send: Send | undefined;
  #hasher: Hasher | undefined;
  #waiting = 0;
  #failure: KilnError | undefined;
  #wake: (() => void) | undefined;
  #hashes: Required<Pick<DigestAnswer, "whole" | "marked">> | undefined;

  constructor(thread: DigestThread) {
    this.#thread = thread;
    this.#block = thread.takeBlock();
  }

  /** Tells that a file of so many bytes is coming. */
  expect(bytes: number): void {
    this.#expected = Math.max(this.#expected, bytes);
  }

  /** Takes bytes; they are copied. */
  update(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) at += this.take(bytes, at);
  }

  /** Takes some of the bytes from `at` on, at least one, and gives how many. */
  take(bytes: Buffer, at: number): number {
    if (this.isFull) this.#pass();
    const taken = bytes.copy(this.#block, this.#length, at);
    this.#length += taken;
    return taken;
  }

  /** Whether the next bytes begin a new block of memory. */
  get isFull(): boolean {
    return this.#length === blockSize;
  }

  /** The last bytes that were taken, as many of them as are in one block; valid until more are. */
  last(count: number): Buffer {
    return this.#block.subarray(this.#length - count, this.#length);
  }

  /** What must be waited for before more is given, so that it does not gather in memory. */
  get congestion(): Promise<void> | undefined {
    const isLate = this.#waiting > mostWaiting && !this.#thread.takesAhead;
    return isLate && this.#failure === undefined ? this.#change() : undefined;
  }

  /**
   * The hashes, at the end of the NAR. `part` is looked at only in a NAR of less than a block.
   *
   * @throws KilnError when the thread failed
   */
  finish(part?: {
    readonly offset: number;
    readonly size: number;
  }): NarHashes | Promise<NarHashes> {
    if (this.#send !== undefined) return this.#finishInThread(this.#send);
    const bytes = this.#block.subarray(0, this.#length);
    const isWhole = this.#hasher === undefined;
    const hashes =
      isWhole && bytes.length <= worthTwice ? this.#hashTwice(bytes) : this.#hashOnce(bytes);
    const partHash =
      part !== undefined && isWhole
        ? hashBytes("sha256", bytes.subarray(part.offset, part.offset + part.size))
        : undefined;
    this.#thread.giveBlock(this.#block);
    return { ...hashes, partHash };
  }

  /** Nothing is wanted of it any more. */
  drop(): void {
    this.#thread.giveBlock(this.#block);
    this.#send?.({ end: "drop" });
  }

  /** What is small is hashed a second time sooner than a hash under way is copied. */
  #hashTwice(bytes: Buffer): Omit<NarHashes, "partHash"> {
    this.#block[bytes.length] = "|".charCodeAt(0);
    const marked = this.#block.subarray(0, bytes.length + 1);
    return { narHash: hashBytes("sha256", bytes), sourceHash: hashBytes("sha256", marked) };
  }

  #hashOnce(bytes: Buffer): Omit<NarHashes, "partHash"> {
    const hasher = (this.#hasher ?? createHash("sha256")).update(bytes);
    const narHash = Hash.of("sha256", hasher.copy().digest());
    return { narHash, sourceHash: Hash.of("sha256", hasher.update("|").digest()) };
  }

  #pass(): void {
    const bytes = this.#block;
    this.#length = 0;
    if (this.#hasher === undefined && this.#send === undefined) this.#choose();
    if (this.#send === undefined) {
      this.#hasher?.update(bytes);
      return;
    }
    this.#block = this.#thread.takeBlock();
    this.#waiting++;
    this.#send({ bytes });
  }

  #choose(): void {
    if (this.#thread.isRunning || this.#expected >= worthAThread) {
      this.#send = this.#thread.begin((answer) => this.#hear(answer));
    } else {
      this.#hasher = createHash("sha256");
    }
  }

  #hear(answer: DigestAnswer | { readonly failure: KilnError }): void {
    if ("failure" in answer) {
      this.#failure = answer.failure;
    } else if (answer.whole !== undefined && answer.marked !== undefined) {
      this.#hashes = { whole: answer.whole, marked: answer.marked };
    } else this.#waiting--;
    this.#wake?.();
  }

  async #finishInThread(send: Send): Promise<NarHashes> {
    // The memory goes along.
    send({ bytes: this.#block.subarray(0, this.#length) });
    send({ end: "finish" });
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#hashes !== undefined) break;
      await this.#change();
    }
    const { whole, marked } = this.#hashes;
    return {
      narHash: Hash.of("sha256", whole),
      sourceHash: Hash.of("sha256", marked),
      partHash: undefined,
    };
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
