/**
 * The names in a physical store directory: the objects, and `.kiln/` with what is not one yet (`tmp/`), or not one any more
 * (`trash/`): both are emptied without a question when a store is opened. Damaged objects are kept in `quarantine/`.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  type BigIntStats,
} from "node:fs";
import { dirname, join } from "node:path";
import { makeFolders } from "../files/make-folders.ts";
import { v7 as uuid7 } from "uuid";
import { errorCode, fileError } from "../files/file-error.ts";
import type { FreezeOptions } from "../files/freeze.ts";
import type { FileInMemory, FrozenFiles } from "../files/frozen-files.ts";
import { objectNameOf, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Removals } from "./removals.ts";
import { requireStoreFolder } from "./store-folder.ts";

/** How a rename fails when something has the new name that it cannot replace. */
const inTheWay: ReadonlySet<string> = new Set(["EEXIST", "ENOTEMPTY", "EISDIR", "ENOTDIR"]);

/** `message` is for the operator. */
export type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Milliseconds that what a predecessor left is left alone, unless somebody waits for it to go. */
const sweepDelay = 500;

export class ObjectFiles {
  /** The physical store directory. */
  readonly root: string;
  readonly tmp: string;
  readonly lockFile: string;
  readonly idFile: string;
  readonly #trash: string;
  readonly #quarantine: string;
  readonly #log: Log;
  readonly #removals: Removals;

  private constructor(root: string, log: Log) {
    const own = join(root, ".kiln");
    this.root = root;
    this.tmp = join(own, "tmp");
    this.#trash = join(own, "trash");
    this.#quarantine = join(own, "quarantine");
    this.lockFile = join(own, "lock");
    this.idFile = join(own, "store-id");
    this.#log = log;
    this.#removals = new Removals((message) => log("warn", message));
  }

  /**
   * Makes the store directory (mode 1775, as zb does) and Kiln's own folder in it, unless they are there.
   *
   * @throws KilnError `store.directory` when something else is in their place, or the folder is used for something else
   */
  static open(root: string, log: Log): ObjectFiles {
    requireStoreFolder(root);
    try {
      makeStoreDirectory(root);
      const own = join(root, ".kiln");
      makePrivateFolder(own);
      const files = new ObjectFiles(root, log);
      makePrivateFolder(files.tmp);
      makePrivateFolder(files.#trash);
      return files;
    } catch (error) {
      throw fileError("prepare", root, error);
    }
  }

  /** Where the object is, or would be. */
  pathOf(path: StorePath): string {
    return `${this.root}/${objectNameOf(path)}`;
  }

  /** What has the object's name, if anything; a symlink itself, not what it points at. */
  find(path: StorePath): BigIntStats | undefined {
    return lstatSync(this.pathOf(path), { bigint: true, throwIfNoEntry: false });
  }

  /** Whether something has the object's name. */
  has(path: StorePath): boolean {
    return lstatSync(this.pathOf(path), { throwIfNoEntry: false }) !== undefined;
  }

  /**
   * Gives a frozen tree the object's name. What has that name already is damaged, or not known to the database: to clients it does
   * not exist, and it goes.
   *
   * @returns whether the root folder's metadata had to be touched, and so must be synced again
   */
  moveIn(tree: string, path: StorePath): boolean {
    try {
      return moveTree(tree, this.pathOf(path));
    } catch (error) {
      // Only a file takes the place of a file by itself.
      if (!inTheWay.has(errorCode(error) ?? "")) throw error;
      this.moveOut(path);
      return moveTree(tree, this.pathOf(path));
    }
  }

  /**
   * Writes a file as the object of that name, unless something has it already. `files` writes in the store directory.
   *
   * @returns whether it was written
   */
  create(file: FileInMemory, path: StorePath, files: FrozenFiles): boolean {
    try {
      files.write(this.pathOf(path), file);
      return true;
    } catch (error) {
      if (errorCode(error) === "EEXIST") return false;
      throw error;
    }
  }

  /** A name in `.kiln/` that nothing has. */
  temporary(): string {
    return join(this.tmp, uuid7());
  }

  /** Takes what has the object's name out of the store directory. It is removed in the background. */
  moveOut(path: StorePath): void {
    const away = join(this.#trash, uuid7());
    moveTree(this.pathOf(path), away);
    this.discard(away);
  }

  /** A way out for many objects: they are removed in the background when it is disposed of. */
  departure(): Departure {
    // No folder of its own: a full disk has no room for one.
    return new Departure(this, join(this.#trash, uuid7()));
  }

  /** Takes a damaged object out of the store directory and keeps it for people to look at. Gives its new place. */
  quarantine(path: StorePath): string {
    makePrivateFolder(this.#quarantine);
    const away = join(this.#quarantine, `${objectNameOf(path)}.${uuid7()}`);
    moveTree(this.pathOf(path), away);
    return away;
  }

  /** Removes a tree that lies in `.kiln/` in the background. */
  discard(tree: string): void {
    this.#removals.add(tree);
  }

  /**
   * Has all removed that a process before this one left unfinished. The time this takes does not depend on how much it is; the removal
   * itself waits a moment, in which whoever opens the store comes to its work.
   */
  discardLeftovers(): void {
    for (const name of readdirSync(this.tmp)) {
      const away = join(this.#trash, uuid7());
      try {
        moveTree(join(this.tmp, name), away);
      } catch (error) {
        this.#log("warn", `cannot clear ${join(this.tmp, name)}: ${KilnError.from(error).message}`);
      }
    }
    const left = readdirSync(this.#trash);
    if (left.length > 0) this.#removals.delay(sweepDelay);
    for (const name of left) this.discard(join(this.#trash, name));
  }

  /** Resolves when nothing is being removed any more. */
  async settled(): Promise<void> {
    await this.#removals.settled();
  }
}

/** Objects on their way out of the store directory. */
export class Departure implements Disposable {
  readonly #files: ObjectFiles;
  readonly #prefix: string;
  readonly #gone: string[] = [];

  constructor(files: ObjectFiles, prefix: string) {
    this.#files = files;
    this.#prefix = prefix;
  }

  /** Takes what has the object's name, if anything, out of the store directory. */
  take(path: StorePath): void {
    const away = `${this.#prefix}-${this.#gone.length}`;
    try {
      moveTree(this.#files.pathOf(path), away);
      this.#gone.push(away);
    } catch (error) {
      if (errorCode(error) !== "ENOENT" || this.#files.has(path)) throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const tree of this.#gone) this.#files.discard(tree);
  }
}

/** For `freeze`: root's objects belong to root, other users' to themselves. */
export function ownerOfObjects(): FreezeOptions {
  return process.geteuid?.() === 0 ? { owner: { uid: 0, gid: 0 } } : {};
}

/**
 * Renames. A folder can only get another parent if it is writable, which a frozen one is not, unless for root: then its mode
 * is relaxed for the moment of the move.
 */
function moveTree(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return false;
  } catch (error) {
    if (errorCode(error) !== "EACCES" || !lstatSync(from).isDirectory()) throw error;
  }
  const folder = openSync(from, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { mode } = lstatSync(from);
    fchmodSync(folder, 0o700);
    try {
      renameSync(from, to);
    } finally {
      fchmodSync(folder, mode & 0o777);
      futimesSync(folder, 0, 0);
    }
    return true;
  } finally {
    closeSync(folder);
  }
}

function makeStoreDirectory(root: string): void {
  const there = lstatSync(root, { throwIfNoEntry: false });
  if (there !== undefined) return;
  const made = makeFolders(root, 0o755);
  // mkdir's mode goes through the umask, and may not carry the sticky bit.
  if (made !== undefined) chmodSync(root, 0o1775);
  syncFolderNow(dirname(root));
}

function makePrivateFolder(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) {
    mkdirSync(path, { mode: 0o700 });
    syncFolderNow(dirname(path));
    return;
  }
  if (!there.isDirectory() || there.uid !== process.geteuid?.()) {
    throw new KilnError("store.directory", `${path} is not a folder of the user who runs Kiln`, {
      kind: "internal",
      path,
    });
  }
  if ((there.mode & 0o7777) !== 0o700) chmodSync(path, 0o700);
}

function syncFolderNow(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
