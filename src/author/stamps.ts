/**
 * What a tree's content hash was when it looked like this. A tree whose files all have the times, sizes and inodes of the last
 * run is not read again.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolders } from "../files/make-folders.ts";
import { writeWholeFile } from "../files/whole-file.ts";
import { parseHash, type Hash } from "../format/hash.ts";
import type { WalkedEntry } from "./walk.ts";

/**
 * Files changed less than this many nanoseconds before the walk are not trusted: a second change within the clock's grain would
 * leave no trace. Git's "racily clean" rule.
 */
const racyNanoseconds = 2_000_000_000n;

export interface StampedHash {
  readonly stamp: string;
  readonly hash: Hash;
}

/** The stamp of these entries, in the order of the walk. */
export function stampOf(entries: readonly WalkedEntry[]): string {
  const digest = createHash("sha256");
  for (const { path, type, stats, target } of entries) {
    digest.update(`${path}\0${type}\0`);
    // A folder is no more than what is kept of it; its own time also changes with what is not.
    if (type === "directory") continue;
    const { mode, size, mtimeNs, ctimeNs, ino, dev } = stats;
    digest.update(`${mode & 0o111n} ${size} ${mtimeNs} ${ctimeNs} ${ino} ${dev} ${target}\0`);
  }
  return digest.digest("hex");
}

/** Whether every entry is older than the walk by a safe margin. `now` in milliseconds. */
export function isSettled(entries: readonly WalkedEntry[], now: number): boolean {
  const limit = BigInt(now) * 1_000_000n - racyNanoseconds;
  return entries.every(
    ({ type, stats }) => type === "directory" || (stats.mtimeNs < limit && stats.ctimeNs < limit),
  );
}

/** One small file for each tree, in the project's cache folder. Whatever is wrong with it counts as not there. */
export class StampCache {
  readonly #folder: string;

  constructor(cacheDirectory: string) {
    this.#folder = join(cacheDirectory, "stamps");
  }

  read(root: string, name: string): StampedHash | undefined {
    try {
      const [stamp = "", hash = ""] = readFileSync(this.#file(root, name), "utf8").split("\n");
      return { stamp, hash: parseHash(hash) };
    } catch {
      return undefined;
    }
  }

  write(root: string, name: string, { stamp, hash }: StampedHash): void {
    try {
      makeFolders(this.#folder);
      writeWholeFile(this.#file(root, name), `${stamp}\n${hash.sri()}\n`);
    } catch {
      // Next time the tree is read again, that is all.
    }
  }

  #file(root: string, name: string): string {
    const key = createHash("sha256").update(`${root}\0${name}`).digest("hex");
    return join(this.#folder, key.slice(0, 32));
  }
}
