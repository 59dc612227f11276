/**
 * Makes a tree what an object is at rest: nobody may write it, times are zero, nothing is set-user-id, and it shares no file with
 * anything outside.
 */
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  renameSync,
  unlinkSync,
  utimesSync,
  type Stats,
} from "node:fs";
import { randomUUID } from "node:crypto";
import { KilnError } from "../util/kiln-error.ts";
import {
  hold,
  holdAt,
  type Directory,
  type FilePath,
  type Held,
  type OpenFile,
} from "./directory.ts";
import { attempt } from "./file-error.ts";
import { inSlices } from "./slices.ts";
import { walk, type WalkStep } from "./walk.ts";

export interface FreezeOptions {
  /** Who is to own everything. Without it, owners stay as they are. */
  readonly owner?: Owner;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Freezes the tree at `path`, which may be a single file or symlink: files get mode 0444, or 0555 if they had any execute bit,
 * directories 0555; access and modification times become 0; set-user-id bits, file capabilities and write permissions go. Of
 * symlinks only the owner changes; nothing is ever reached through one. A file that has hard links outside the tree is replaced
 * by a copy, so that what lies outside stays as it is.
 *
 * @returns how many files and directories there are
 * @throws KilnError `file.type` for anything but files, directories and symlinks; another `file.…` or `disk.…`
 */
export async function freeze(path: string, options: FreezeOptions = {}): Promise<number> {
  if (freezeFile(path, options)) return 1;
  const freezer = new Freezer(options);
  await inSlices(walk(path), (step) => freezer.take(step));
  // Only now is it known of every file whether all its names are in the tree.
  if (!freezer.isDone) await inSlices(walk(path), (step) => freezer.takeAgain(step));
  return freezer.count;
}

/** Freezes the entries of a tree as somebody comes by them on a walk through all of it. */
export class Freezer {
  readonly #options: FreezeOptions;
  readonly #links = new LinkCounts();
  #count = 0;

  constructor(options: FreezeOptions = {}) {
    this.#options = options;
  }

  /** How many files and directories were taken. */
  get count(): number {
    return this.#count;
  }

  /** Whether all is frozen that was taken: files with several names have to be taken again. */
  get isDone(): boolean {
    return this.#links.none;
  }

  take(step: WalkStep): void {
    if (step.type !== "leave") this.#count++;
    using held = hold(step.parent, step.name);
    if (step.type === "enter") makeUsable(step, held, 0o500);
    else if (step.type === "leave" || !this.#links.count(held.stats)) {
      freezeHeld(step, held, this.#options);
    }
  }

  /** As {@link take}, for a file that is open anyway. */
  takeOpen({ fd, stats, path }: OpenFile): void {
    this.#count++;
    if (this.#links.count(stats)) return;
    const { owner } = this.#options;
    attempt("freeze", path, () =>
      setAttributes(fd, byDescriptor, { stats, mode: modeOfFile(stats), owner }),
    );
  }

  /** To be called with all steps of another walk when everything was taken. */
  takeAgain(step: WalkStep): void {
    using held = hold(step.parent, step.name);
    if (step.type === "enter") makeUsable(step, held, 0o700);
    else if (step.type !== "leave" && this.#links.isShared(held.stats)) {
      replaceByCopy(step, held, this.#options);
    } else freezeHeld(step, held, this.#options);
  }
}

/** Most trees are a file by itself. Whether this one was. */
function freezeFile(path: string, { owner }: FreezeOptions): boolean {
  using held = holdAt(path, () => path);
  const { stats, self } = held;
  if (!stats.isFile() || stats.nlink > 1) return false;
  attempt("freeze", path, () =>
    setAttributes(self, byPath, { stats, mode: modeOfFile(stats), owner }),
  );
  return true;
}

/** How many names of each file with several names were seen, and how many it had then. */
class LinkCounts {
  readonly #files = new Map<string, { seen: number; readonly all: number }>();

  get none(): boolean {
    return this.#files.size === 0;
  }

  /** Counts a name of a file that has others; false for everything else. */
  count(stats: Stats): boolean {
    if (!stats.isFile() || stats.nlink === 1) return false;
    const file = this.#files.get(keyOf(stats)) ?? { seen: 0, all: stats.nlink };
    file.seen++;
    this.#files.set(keyOf(stats), file);
    return true;
  }

  /** Whether a file has, or had, names that were not seen. */
  isShared(stats: Stats): boolean {
    if (!stats.isFile() || stats.nlink === 1) return false;
    const file = this.#files.get(keyOf(stats));
    return file === undefined || file.seen !== file.all;
  }
}

function keyOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/** Sees to it that the owner has these permissions on a directory. */
function makeUsable(step: WalkStep, { stats, self }: Held, wanted: number): void {
  if ((stats.mode & wanted) === wanted) return;
  attempt(
    "change",
    () => step.parent.pathOf(step.name),
    () => chmodSync(self, 0o700),
  );
}

function freezeHeld({ parent, name }: WalkStep, held: Held, { owner }: FreezeOptions): void {
  const path = (): string => parent.pathOf(name);
  attempt("freeze", path, () => {
    const { stats, self } = held;
    if (stats.isSymbolicLink()) changeOwner(stats, parent.at(name), owner);
    else if (stats.isDirectory()) setAttributes(self, byPath, { stats, mode: 0o555, owner });
    else if (!stats.isFile()) throw badType(path());
    else setAttributes(self, byPath, { stats, mode: modeOfFile(stats), owner });
  });
}

function modeOfFile({ mode }: Stats): number {
  return (mode & 0o111) === 0 ? 0o444 : 0o555;
}

/** The calls that change what is known by a path or by a descriptor. */
interface Calls<T> {
  readonly chown: (target: T, uid: number, gid: number) => void;
  readonly chmod: (target: T, mode: number) => void;
  readonly utimes: (target: T, accessed: number, modified: number) => void;
}

const byPath: Calls<FilePath> = { chown: chownSync, chmod: chmodSync, utimes: utimesSync };
const byDescriptor: Calls<number> = { chown: fchownSync, chmod: fchmodSync, utimes: futimesSync };

interface Wanted {
  readonly stats: Stats;
  readonly mode: number;
  readonly owner: Owner | undefined;
}

function setAttributes<T>(target: T, calls: Calls<T>, { stats, mode, owner }: Wanted): void {
  const { uid, gid } = owner ?? stats;
  // Changing the owner, even to the same one, is what removes file capabilities. They only count on what can be executed.
  const isProgram = stats.isFile() && (stats.mode & 0o111) !== 0;
  if (isProgram || stats.uid !== uid || stats.gid !== gid) calls.chown(target, uid, gid);
  if ((stats.mode & 0o7777) !== mode) calls.chmod(target, mode);
  if (stats.mtimeMs !== 0) calls.utimes(target, 0, 0);
}

function changeOwner(stats: Stats, link: FilePath, owner: Owner | undefined): void {
  if (owner === undefined || (stats.uid === owner.uid && stats.gid === owner.gid)) return;
  lchownSync(link, owner.uid, owner.gid);
}

/** Puts a frozen copy in the place of a file. The file itself stays untouched under its other names. */
function replaceByCopy(step: WalkStep, held: Held, options: FreezeOptions): void {
  const { parent, name } = step;
  const copy = `.kiln-${randomUUID()}`;
  attempt(
    "copy",
    () => parent.pathOf(name),
    () => {
      const { COPYFILE_EXCL, COPYFILE_FICLONE } = constants;
      copyFileSync(held.self, parent.at(copy), COPYFILE_EXCL | COPYFILE_FICLONE);
      try {
        freezeCopy(parent, copy, step, options);
        renameSync(parent.at(copy), parent.at(name));
      } catch (thrown) {
        unlinkSync(parent.at(copy));
        throw thrown;
      }
    },
  );
}

function freezeCopy(parent: Directory, copy: string, step: WalkStep, options: FreezeOptions): void {
  using held = hold(parent, copy);
  freezeHeld({ ...step, name: copy }, held, options);
}

function badType(path: string): KilnError {
  return new KilnError("file.type", `${path} is neither a file nor a directory nor a symlink`, {
    path,
  });
}
