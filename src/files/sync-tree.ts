import { closeSync, constants, fsync, lstatSync, openSync } from "node:fs";
import { promisify } from "node:util";
import { attempt, fileError } from "./file-error.ts";
import { walk, type WalkStep } from "./walk.ts";

const sync = promisify(fsync);

/** How many files are synced at once. The kernel joins syncs that wait together. */
const atOnce = 16;

/** Without waiting for a writer (O_NONBLOCK), should a file have become a fifo. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Resolves when all files and directories of the tree at `path`, which must be readable, are on disk. The entry of the tree itself
 * in the directory it lies in is not: whoever renames it syncs that one. Does not hold up the event loop.
 */
export async function syncTree(path: string): Promise<void> {
  if (await syncFile(path)) return;
  const steps = walk(path);
  // A worker that fails ends the walk for all.
  const workers = await Promise.allSettled(Array.from({ length: atOnce }, () => syncSteps(steps)));
  for (const worker of workers) {
    if (worker.status === "rejected") throw worker.reason;
  }
}

/** Most trees are a file by itself. Whether this one was. */
async function syncFile(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const fd = attempt("open", path, () => openSync(path, flags));
  await syncOpen(fd, () => path);
  return true;
}

async function syncSteps(steps: Generator<WalkStep>): Promise<void> {
  for (const step of steps) {
    // Symlinks are on disk with the directory they lie in.
    if (step.type !== "file" && step.type !== "leave") continue;
    const { parent, name } = step;
    const path = (): string => parent.pathOf(name);
    await syncOpen(
      attempt("open", path, () => openSync(parent.at(name), flags)),
      path,
    );
  }
}

async function syncOpen(fd: number, path: () => string): Promise<void> {
  try {
    await sync(fd);
  } catch (thrown) {
    throw fileError("sync", path(), thrown);
  } finally {
    closeSync(fd);
  }
}
