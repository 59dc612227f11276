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

/** The memory that a store has for them. */
export class SmallFiles {
  #left: number;

  constructor(capacity: number = most) {
    this.#left = capacity;
  }

  /** Room for a file of this size; undefined when it is not small, or there is none. */
  take(size: number, executable: boolean): SmallFile | undefined {
    const cost = size + overhead;
    if (size > largest || cost > this.#left) return undefined;
    this.#left -= cost;
    return new SmallFile(size, executable, () => (this.#left += cost));
  }
}

/** A file that comes in pieces. Its room is given back when it is disposed of, which may be more than once. */
export class SmallFile implements FileInMemory, Disposable {
  readonly bytes: Buffer;
  readonly executable: boolean;
  #length = 0;
  #giveBack: (() => void) | undefined;

  constructor(size: number, executable: boolean, giveBack: () => void) {
    this.bytes = Buffer.allocUnsafe(size);
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
