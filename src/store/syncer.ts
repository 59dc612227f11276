/**
 * Makes what was written to the store survive a power failure. Nothing here blocks the event loop.
 *
 * Few files are synced one by one. For many, one syncfs(2) of the store's file system is far cheaper than a sync for each, and
 * everybody who waits shares it.
 */
import { closeSync, constants, fsync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { syncTree } from "../files/sync-tree.ts";
import { SharedRun } from "../util/shared-run.ts";
import type { Durability } from "./database/open.ts";
import { FileSystemSync } from "./file-system-sync.ts";

const sync = promisify(fsync);

/** From this many files and folders on, the file system is synced as a whole. */
const many = 24;

export interface WrittenTree {
  readonly tree: string;
  /** Number of files and folders in it, as far as known. */
  readonly entries: number;
}

export class Syncer implements Disposable {
  readonly #enabled: boolean;
  readonly #folder: SharedRun;
  readonly #fileSystem: SharedRun;
  readonly #program: FileSystemSync;
  /** The store directory, open from the first time it is synced. */
  #root: number | undefined;

  /** `root` is the physical store directory. */
  constructor(root: string, durability: Durability) {
    this.#enabled = durability === "power";
    this.#folder = new SharedRun(async () => {
      this.#root ??= openSync(root, "r");
      await sync(this.#root);
    });
    this.#program = new FileSystemSync(root);
    this.#fileSystem = new SharedRun(async () => {
      if (!(await this.#program.run())) throw new Error("the file system could not be synced");
    });
  }

  /** Starts what syncs whole file systems, so that the first sync need not wait for it. */
  warm(): void {
    if (this.#enabled) this.#program.warm();
  }

  /** Resolves when everything in these trees, which lie on the store's file system, is on disk. */
  async trees(written: readonly WrittenTree[]): Promise<void> {
    if (!(await this.together(written))) await this.each(written);
  }

  /**
   * As {@link trees}, and they may be moved meanwhile; but only when together they are many files. Resolves to whether they are on disk; if
   * not, {@link each} does it. Never rejects.
   */
  async together(written: readonly WrittenTree[]): Promise<boolean> {
    if (!this.#enabled || written.length === 0) return true;
    const entries = written.reduce((sum, { entries }) => sum + entries, 0);
    return entries >= many && (await this.#wholeFileSystem());
  }

  /** As {@link trees}, file by file. */
  async each(written: readonly WrittenTree[]): Promise<void> {
    if (this.#enabled) await Promise.all(written.map(({ tree }) => syncTree(tree)));
  }

  /** Resolves when the names in the store directory are on disk. */
  async names(): Promise<void> {
    if (this.#enabled) await this.#folder.run();
  }

  /** Resolves when this folder, not what is in it, is on disk. */
  async folder(path: string): Promise<void> {
    if (this.#enabled) await syncFolder(path);
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
    if (this.#root !== undefined) closeSync(this.#root);
    this.#root = undefined;
  }

  /** Whether it worked. If not, syncing the files themselves finds out why. */
  async #wholeFileSystem(): Promise<boolean> {
    try {
      await this.#fileSystem.run();
      return true;
    } catch {
      return false;
    }
  }

  /** Begins to write what is in the file system so far, so that less is left to do for trees with many files. Never rejects. */
  async everything(): Promise<void> {
    if (this.#enabled) await this.#wholeFileSystem();
  }

  /** Begins to write what the file holds so far, so that less is left to do at its end. */
  async contents(file: string): Promise<void> {
    if (!this.#enabled) return;
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using handle = await open(file, flags);
    await handle.datasync();
  }
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}
