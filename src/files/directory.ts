/**
 * Directories as handles.
 *
 * A path names something else as soon as somebody swaps one of its elements for a symlink. So whatever works on a tree holds each
 * directory by a descriptor and reaches entries from there, never following a link. Node has no `openat`; on Linux
 * `/proc/self/fd/N/name` is the same thing. Descriptors are opened with O_PATH, which needs no permission on the directory itself,
 * so that one with mode 000 can be held, given another mode, and then read. Where there is no /proc, directories are looked at
 * (not a link?) and then used by path.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
} from "node:fs";
import type { Dirent, Stats } from "node:fs";
import { dirname } from "node:path";
import { bytesToString } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { attempt } from "./file-error.ts";

/** Linux's O_PATH, which Node does not name: a descriptor to act on a file without opening it for anything. */
const O_PATH = 0o10000000;
const directoryFlags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Whether entries can be reached from a directory's descriptor. */
export const hasDescriptorPaths: boolean =
  process.platform === "linux" && existsSync("/proc/self/fd/.");

/** What can be given to `fs` functions: a string, or bytes where a name is not UTF-8. */
export type FilePath = string | Buffer;

export type EntryType = "file" | "directory" | "symlink" | "other";

/** An entry of a directory. */
export interface Entry {
  /** Its name as bytes, one per character: sorts by bytes as it is. */
  readonly latin1: string;
  readonly type: EntryType;
}

/** The name as `fs` functions and {@link Directory.at} take it. */
export function nameOf(entry: Entry): FilePath {
  return isAscii(entry.latin1) ? entry.latin1 : Buffer.from(entry.latin1, "latin1");
}

export class Directory implements Disposable {
  /** The directory this one was reached from; undefined for one opened by path. */
  readonly #parent: Directory | undefined;
  /** The name in the parent, or the path. */
  readonly #name: FilePath;
  #fd: number | undefined;
  /** Whether the descriptor is somebody else's to close. */
  #isLent = false;
  /** What must be found again when the descriptor was given back for a while. */
  #identity: { readonly dev: bigint; readonly ino: bigint } | undefined;

  private constructor(parent: Directory | undefined, name: FilePath) {
    this.#parent = parent;
    this.#name = name;
  }

  /** The directory at `path`. Links in the path are followed: it is the caller's. */
  static open(path: string): Directory {
    const directory = new Directory(undefined, path);
    if (hasDescriptorPaths) {
      directory.#fd = attempt("open", path, () => openSync(path, O_PATH | constants.O_DIRECTORY));
    }
    return directory;
  }

  /** The same directory, for somebody who closes what they get. This one must stay open meanwhile. */
  lend(): Directory {
    const lent = new Directory(this.#parent, this.#name);
    lent.#fd = this.#fd;
    lent.#isLent = true;
    return lent;
  }

  /** The directory `name` in this one. It must be a directory, not a link to one. */
  openChild(name: FilePath): Directory {
    const child = new Directory(this, name);
    if (hasDescriptorPaths) {
      child.#fd = attempt(
        "open",
        () => child.path,
        () => openSync(this.at(name), directoryFlags),
      );
    } else if (
      !attempt(
        "look at",
        () => child.path,
        () => lstatSync(this.at(name)),
      ).isDirectory()
    ) {
      throw new KilnError("file.changed", `${child.path} is not a directory any more`);
    }
    return child;
  }

  /** Where this directory was found, for messages. */
  get path(): string {
    // Not recursive: a hostile tree may be deeper than the call stack.
    const names = [shown(this.#name)];
    for (let at = this.#parent; at !== undefined; at = at.#parent) names.push(shown(at.#name));
    return names.toReversed().join("/").replace(/^\/\//, "/");
  }

  /** Where the entry `name` was found, for messages. */
  pathOf(name: FilePath): string {
    return `${this.path}/${shown(name)}`.replace(/^\/\//, "/");
  }

  /** The path by which `fs` functions reach the entry `name` of this very directory. */
  at(name: FilePath): FilePath {
    const self = this.self;
    if (typeof name === "string" && typeof self === "string") return `${self}/${name}`;
    return Buffer.concat([Buffer.from(self), Buffer.from("/"), Buffer.from(name)]);
  }

  /** The path by which `fs` functions reach this very directory. */
  get self(): FilePath {
    if (hasDescriptorPaths) return `/proc/self/fd/${this.#descriptor}`;
    return this.#parent === undefined ? this.#name : this.#parent.at(this.#name);
  }

  stats(): Stats {
    const path = (): string => this.path;
    const fd = this.#fd;
    return attempt("look at", path, () =>
      fd === undefined ? lstatSync(this.self) : fstatSync(fd),
    );
  }

  /** The entries, in no order. */
  entries(): Entry[] {
    const entries = attempt(
      "list",
      () => this.path,
      () => readdirSync(this.self, { withFileTypes: true, encoding: "latin1" }),
    );
    return entries.map((entry) => ({ latin1: entry.name, type: typeOf(entry) }));
  }

  /** Gives the descriptor back; {@link Directory.resume} takes the directory up again. */
  suspend(): void {
    if (this.#fd === undefined || this.#isLent) return;
    const { dev, ino } = fstatSync(this.#fd, { bigint: true });
    this.#identity = { dev, ino };
    this.close();
  }

  /** Opens a suspended directory again, as the parent of `child`, which must be open. */
  resume(child: Directory): void {
    if (this.#identity === undefined) return;
    this.#fd = attempt(
      "open",
      () => this.path,
      () => openSync(child.at(".."), directoryFlags),
    );
    const { dev, ino } = fstatSync(this.#fd, { bigint: true });
    if (dev !== this.#identity.dev || ino !== this.#identity.ino) {
      throw new KilnError("file.changed", `${child.path} was moved meanwhile`);
    }
    this.#identity = undefined;
  }

  close(): void {
    if (this.#fd !== undefined && !this.#isLent) closeSync(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #descriptor(): number {
    if (this.#fd === undefined) throw new Error(`${this.path} is not open`);
    return this.#fd;
  }
}

/**
 * The way down into a tree. Only the innermost directories are kept open, so depth costs no descriptors; few of them, since a thousand
 * clients may each have an import that stands still in the middle of a deep tree.
 */
export class DirectoryStack implements Disposable {
  readonly #directories: Directory[];
  readonly #maxOpen: number;

  /** @param base is closed with the stack */
  constructor(base: Directory, maxOpen = 4) {
    this.#directories = [base];
    this.#maxOpen = maxOpen;
  }

  /** The innermost directory. */
  get top(): Directory {
    const top = this.#directories.at(-1);
    if (top === undefined) throw new Error("the stack is closed");
    return top;
  }

  /** How far the innermost directory is below the base. */
  get depth(): number {
    return this.#directories.length - 1;
  }

  /** Goes down into the entry `name`, which must be a directory. */
  push(name: FilePath): Directory {
    const child = this.top.openChild(name);
    this.#directories.push(child);
    this.#directories.at(-1 - this.#maxOpen)?.suspend();
    return child;
  }

  /** Goes up again. The directory left is still open: the caller closes it. */
  pop(): Directory {
    const child = this.top;
    this.#directories.pop();
    try {
      this.top.resume(child);
    } catch (thrown) {
      child.close();
      throw thrown;
    }
    return child;
  }

  [Symbol.dispose](): void {
    for (const directory of this.#directories) directory.close();
    this.#directories.length = 0;
  }
}

/** The entry `name` of `parent`. */
export function entryAt(parent: Directory, name: FilePath): Entry {
  const stats = attempt(
    "look at",
    () => parent.pathOf(name),
    () => lstatSync(parent.at(name)),
  );
  return { latin1: Buffer.from(name).toString("latin1"), type: typeOf(stats) };
}

/** A regular file that is open for reading. */
export interface OpenFile {
  readonly fd: number;
  readonly stats: Stats;
  /** For messages. */
  readonly path: () => string;
}

/** An entry itself, held so that it cannot be swapped between looking at it and acting on it. */
export interface Held extends Disposable {
  readonly stats: Stats;
  /** The path by which `fs` functions reach it. Only where {@link hasDescriptorPaths} is it safe from being swapped. */
  readonly self: FilePath;
}

/** Holds the entry `name` of `parent`; a symlink itself, not what it points at. Needs no permission on it. */
export function hold(parent: Directory, name: FilePath): Held {
  return holdAt(parent.at(name), () => parent.pathOf(name));
}

/** The same of what is at `self`. Links in the path to it are followed: it is the caller's. */
export function holdAt(self: FilePath, path: () => string): Held {
  if (!hasDescriptorPaths) {
    const stats = attempt("look at", path, () => lstatSync(self));
    return { stats, self, [Symbol.dispose]() {} };
  }
  const fd = attempt("open", path, () => openSync(self, O_PATH | constants.O_NOFOLLOW));
  return {
    stats: fstatSync(fd),
    self: `/proc/self/fd/${fd}`,
    [Symbol.dispose]() {
      closeSync(fd);
    },
  };
}

/** The directory `path` lies in, and its name there. The last element of the path is not followed. */
export function openParent(path: string): { parent: Directory; name: string } {
  const trimmed = path.replace(/(?<=.)\/+$/, "");
  const parent = dirname(trimmed);
  const name = trimmed.slice(trimmed.lastIndexOf("/") + 1);
  return { parent: Directory.open(parent), name: name === "" ? "." : name };
}

function isAscii(latin1: string): boolean {
  return !/[^\0-\x7f]/.test(latin1);
}

function shown(name: FilePath): string {
  return typeof name === "string" ? name : bytesToString(name);
}

/** What kind of thing it is. */
export function typeOf(
  entry: Pick<Dirent, "isFile" | "isDirectory" | "isSymbolicLink">,
): EntryType {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  return entry.isSymbolicLink() ? "symlink" : "other";
}
