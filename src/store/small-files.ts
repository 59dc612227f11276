/**
 * Objects that are single small files, while they are received: they stay in memory until their names are announced, and are then
 * written in their place at once. That saves the way by a private folder, which costs more than their bytes.
 */
import { Buffer } from "node:buffer";
import type { FileInMemory } from "../files/frozen-files.ts";

/** Bytes of a file that counts as small: most derivations are. */
const largest = 16 * 1024;

/** Bytes of all that a store has in memory at a time. What comes beyond goes by the disk. */
const most = 32 * 1024 * 1024;

/** What one costs besides its bytes, about. */
const overhead = 512;

/** Bytes of a piece of memory for several files: one for each would take longer to have, and to collect. */
const slabSize = 64 * 1024;

/** The memory that a store has for them. */
export class SmallFiles {
  #left: number;

  constructor(capacity: number = most) {
    this.#left = capacity;
  }

  /** A part for somebody who receives them one after the other. */
  shelf(): Shelf {
    return new Shelf((bytes) => this.#take(bytes));
  }

  /** Says how to give so much back, if it is there. */
  #take(bytes: number): (() => void) | undefined {
    if (bytes > this.#left) return undefined;
    this.#left -= bytes;
    return () => (this.#left += bytes);
  }
}

/** Files of one sender, which share memory with nobody else's: what one of them keeps, it keeps of its own. */
export class Shelf {
  readonly #take: (bytes: number) => (() => void) | undefined;
  #slab = Buffer.alloc(0);

  constructor(take: (bytes: number) => (() => void) | undefined) {
    this.#take = take;
  }

  /** Room for a file of this size; undefined when it is not small, or there is none. */
  take(size: number, executable: boolean): SmallFile | undefined {
    if (size > largest) return undefined;
    const giveBack = this.#take(size + overhead);
    return giveBack && new SmallFile(this.#memory(size), executable, giveBack);
  }

  #memory(size: number): Buffer {
    // Node has memory in common for these.
    if (size < Buffer.poolSize >>> 1) return Buffer.allocUnsafe(size);
    if (size > this.#slab.length) this.#slab = Buffer.allocUnsafeSlow(slabSize);
    const memory = this.#slab.subarray(0, size);
    this.#slab = this.#slab.subarray(size);
    return memory;
  }
}

/** A file that comes in pieces. Its room is given back when it is disposed of, which may be more than once. */
export class SmallFile implements FileInMemory, Disposable {
  readonly bytes: Buffer;
  readonly executable: boolean;
  #length = 0;
  #giveBack: (() => void) | undefined;

  constructor(bytes: Buffer, executable: boolean, giveBack: () => void) {
    this.bytes = bytes;
    this.executable = executable;
    this.#giveBack = giveBack;
  }

  /** Takes the next bytes; they are copied. */
  add(chunk: Buffer): void {
    this.#length += chunk.copy(this.bytes, this.#length);
  }

  [Symbol.dispose](): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }
}
