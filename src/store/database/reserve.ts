/**
 * Disk space held back for the day on which there is none: removing objects frees space, but must write to the database first.
 */
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { hasCode } from "../../util/kiln-error.ts";

const size = 512 * 1024;

export class Reserve {
  readonly #file: string;
  #isSpent = false;

  /** `file` holds the space; it lies on the file system of the database. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Whether some of it was spent and not taken again. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Takes the space, or as much of it as can be had now. */
  take(): void {
    try {
      const held = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
      if (held < size) this.#append(size - held);
      this.#isSpent = false;
    } catch {
      // Some is better than none; the rest is taken when more is free.
    }
  }

  /** Runs `write`, which leads to more space; once more with what is held back, where it finds none. */
  async spend<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!hasCode(error, "disk.full") || !this.#give()) throw error;
      this.#isSpent = true;
      return await write();
    }
  }

  #append(bytes: number): void {
    const handle = openSync(this.#file, "a", 0o600);
    try {
      for (let left = bytes; left > 0;) left -= writeSync(handle, Buffer.alloc(left));
      // Only what is on disk has its space for sure.
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }

  /** Gives the space back to the disk; false when there is none to give. */
  #give(): boolean {
    try {
      rmSync(this.#file);
      return true;
    } catch {
      return false;
    }
  }
}
