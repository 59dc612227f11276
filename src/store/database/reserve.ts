/**
 * Disk space held back for the day on which there is none: removing objects frees space, but must write to the database first.
 */
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";

const size = 512 * 1024;

export class Reserve {
  readonly #file: string;

  /** `file` holds the space; it lies on the file system of the database. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Takes the space, unless it is taken already or cannot be had now. */
  take(): void {
    try {
      if (statSync(this.#file, { throwIfNoEntry: false })?.size === size) return;
      const handle = openSync(this.#file, "w", 0o600);
      try {
        writeSync(handle, Buffer.alloc(size));
        // Only what is on disk has its space for sure.
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    } catch {
      this.give();
    }
  }

  /** Gives the space back to the disk. Returns false when there is none to give. */
  give(): boolean {
    try {
      rmSync(this.#file);
      return true;
    } catch {
      return false;
    }
  }
}
