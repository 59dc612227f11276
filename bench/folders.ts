/**
 * The folders that stores lie in. They are removed when everything has been measured: a file system may take its time to create
 * files while many have just been removed (ext4 without a journal looks for inodes that were not free lately, one by one), and that
 * would be counted against who comes next.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTree } from "../src/files/remove-tree.ts";

const made = new Set<string>();

/**
 * A new folder for a store, which may have others beside it. What others have written is on disk by then, and not for the next one to wait for; and what they remove
 * does not slow it down: it lies in a part of the disk of its own.
 */
export function makeFolder(name: string): string {
  if (made.size === 0) {
    process.once("beforeExit", () => void removeAll());
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => void removeAll().finally(() => process.exit(1)));
    }
  }
  spawnSync("sync", ["-f", tmpdir()]);
  const base = mkdtempSync(join(tmpdir(), `kiln-bench-${name}-`));
  made.add(base);
  // Each folder in it lies in a part of the disk of its own, where the file system is an ext4. To make one so takes seven times as long.
  spawnSync("chattr", ["+T", base]);
  const folder = join(base, "disk");
  mkdirSync(folder);
  return folder;
}

/** Gives the space of a folder's large files back. */
export function clearFolder(folder: string): void {
  const store = join(folder, "zb", "store");
  for (const name of readdirSync(store)) {
    const file = join(store, name);
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats?.isFile() === true && stats.size > 1024 * 1024) truncateSync(file);
  }
}

async function removeAll(): Promise<void> {
  for (const folder of made) {
    await removeTree(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}
