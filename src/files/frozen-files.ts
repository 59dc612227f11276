/** Small files that are written at once, as freeze.ts would leave them. */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  openSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import type { FreezeOptions } from "./freeze.ts";

/** Creates a file to write, and opens nothing that exists. */
export const createFlags: number =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** A small file that is in memory. */
export interface FileInMemory {
  readonly bytes: Uint8Array;
  readonly executable: boolean;
}

/** Writes files into one folder, one after the other. */
export class FrozenFiles {
  readonly #options: FreezeOptions;
  /** Modes with which files are right as they are created: the umask takes nothing, and the folder gives them no other owner. */
  readonly #rightModes = new Set<number>();

  constructor(options: FreezeOptions = {}) {
    this.#options = options;
  }

  /**
   * Nothing may be at `path`. What cannot be written as a whole is removed again.
   *
   * @throws what `fs` throws
   */
  write(path: string, { bytes, executable }: FileInMemory): void {
    const mode = executable ? 0o555 : 0o444;
    const fd = openSync(path, createFlags, mode);
    try {
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
        if (!this.#rightModes.has(mode)) this.#putRight(fd, mode);
        futimesSync(fd, 0, 0);
      } finally {
        // Some file systems only find now that there is no room.
        closeSync(fd);
      }
    } catch (error) {
      unlinkSync(path);
      throw error;
    }
  }

  #putRight(fd: number, mode: number): void {
    const { owner } = this.#options;
    const found = fstatSync(fd);
    const isOwned = owner === undefined || (found.uid === owner.uid && found.gid === owner.gid);
    if (isOwned && (found.mode & 0o7777) === mode) {
      this.#rightModes.add(mode);
      return;
    }
    if (!isOwned) fchownSync(fd, owner.uid, owner.gid);
    fchmodSync(fd, mode);
  }
}
