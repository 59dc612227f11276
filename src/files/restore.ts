/** From NAR to disk. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  lchownSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import type { NarSink } from "../format/nar/reader.ts";
import { KilnError } from "../util/kiln-error.ts";
import { type Directory, DirectoryStack, openParent } from "./directory.ts";
import { attempt } from "./file-error.ts";
import type { FreezeOptions } from "./freeze.ts";
import { createFlags } from "./frozen-files.ts";

/** Longest path that system calls take, without the closing NUL. */
const maxPath = 4095;

export interface TreeWriterOptions {
  /** The directory in which the tree will be, when it is open already; it must stay open meanwhile. */
  readonly parent?: Directory | undefined;
  /**
   * Leaves everything as freeze.ts would, who looks at it all once more; with an owner only where what is created would belong to
   * somebody else. Otherwise only its owner may use what is created.
   */
  readonly frozen?: FreezeOptions | undefined;
}

/**
 * Builds the tree that the events of a NAR tell of. Nothing that exists is ever opened or followed: everything is created, and
 * creating fails where something is.
 *
 * Whoever stops half-way calls {@link TreeWriter.close} and removes the tree.
 */
export class TreeWriter implements NarSink, Disposable {
  readonly #stack: DirectoryStack;
  readonly #root: string;
  readonly #rootName: string;
  /** Length of the current directory's path, and of its parents' (the outermost first), in bytes. */
  #pathLength: number;
  readonly #pathLengths: number[] = [];
  readonly #frozen: FreezeOptions | undefined;
  #fd: number | undefined;
  #name = "";
  #mode = 0;
  /** Modes that files get as they are asked for. */
  readonly #rightModes = new Set<number>();
  #entries = 0;
  #inode: number | undefined;

  /**
   * @param root where the tree will be; nothing may be there, the directory it lies in must exist
   */
  constructor(root: string, { parent, frozen }: TreeWriterOptions = {}) {
    const name = root.slice(root.lastIndexOf("/") + 1);
    this.#stack = new DirectoryStack(parent?.lend() ?? openParent(root).parent);
    this.#root = root;
    this.#rootName = name;
    this.#frozen = frozen;
    this.#pathLength = Buffer.byteLength(root) - Buffer.byteLength(name) - 1;
  }

  /** The number of files, directories and symlinks created so far. */
  get entries(): number {
    return this.#entries;
  }

  /** The inode number of a root that is a file, written frozen; undefined when it is not known. */
  get inode(): number | undefined {
    return this.#inode;
  }

  directory(name: string): void {
    const entry = this.#newEntry(name);
    const { top } = this.#stack;
    this.#do("create", entry, () => mkdirSync(top.at(entry), 0o700));
    this.#stack.push(entry);
    this.#pathLengths.push(this.#pathLength);
    this.#pathLength += 1 + Buffer.byteLength(entry);
  }

  endDirectory(): void {
    using directory = this.#stack.pop();
    if (this.#frozen !== undefined) {
      const { owner } = this.#frozen;
      const path = (): string => directory.path;
      attempt("freeze", path, () => {
        const { self } = directory;
        if (owner !== undefined) chownSync(self, owner.uid, owner.gid);
        chmodSync(self, 0o555);
        utimesSync(self, 0, 0);
      });
    }
    this.#pathLength = this.#pathLengths.pop() ?? 0;
  }

  file(name: string, executable: boolean): void {
    this.#name = this.#newEntry(name);
    // The folder of the root is the caller's, so its path will do: by a descriptor it takes a fifth longer.
    const path = this.#stack.depth === 0 ? this.#root : this.#stack.top.at(this.#name);
    const isFrozen = this.#frozen !== undefined;
    // What can be written by this descriptor does not depend on the mode.
    const mode = isFrozen ? (executable ? 0o555 : 0o444) : executable ? 0o700 : 0o600;
    const fd = this.#do("create", this.#name, () => openSync(path, createFlags, mode));
    this.#fd = fd;
    this.#mode = mode;
    if (isFrozen) return;
    // The umask may have taken the one bit of the mode that counts.
    if (executable) this.#do("create", this.#name, () => fchmodSync(fd, mode));
  }

  data(chunk: Buffer): void {
    const fd = this.#fd;
    if (fd === undefined) throw new Error("no file is open");
    for (let at = 0; at < chunk.length;) {
      at += this.#do("write", this.#name, () => writeSync(fd, chunk, at));
    }
  }

  endFile(): void {
    const fd = this.#fd;
    if (fd === undefined) throw new Error("no file is open");
    if (this.#frozen !== undefined) {
      const { owner } = this.#frozen;
      this.#do("freeze", this.#name, () => {
        if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
        if (this.#stack.depth === 0 || !this.#rightModes.has(this.#mode)) this.#lookAt(fd);
        futimesSync(fd, 0, 0);
      });
    }
    this.#fd = undefined;
    this.#do("write", this.#name, () => closeSync(fd));
  }

  /** The umask may have taken bits. If not, it will not from the next files with this mode either. */
  #lookAt(fd: number): void {
    const { mode, ino } = fstatSync(fd);
    if ((mode & 0o7777) === this.#mode) this.#rightModes.add(this.#mode);
    else fchmodSync(fd, this.#mode);
    if (this.#stack.depth === 0) this.#inode = ino;
  }

  symlink(name: string, target: Buffer): void {
    const entry = this.#newEntry(name);
    const path = this.#stack.top.at(entry);
    this.#do("create", entry, () => symlinkSync(target, path));
    const owner = this.#frozen?.owner;
    if (owner !== undefined)
      this.#do("freeze", entry, () => lchownSync(path, owner.uid, owner.gid));
  }

  /** Gives the descriptors back. May be called at any time, and more than once. */
  close(): void {
    this.#stack[Symbol.dispose]();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #newEntry(name: string): string {
    this.#entries++;
    const entry = this.#stack.depth === 0 ? this.#rootName : name;
    // Descriptors would go deeper, but nobody could open what lies there by its path.
    if (this.#pathLength + 1 + Buffer.byteLength(entry) > maxPath) {
      throw new KilnError(
        "file.pathTooLong",
        `a path of more than ${maxPath} bytes in ${this.#stack.top.path.slice(0, 200)}…`,
      );
    }
    return entry;
  }

  #do<T>(verb: string, name: string, call: () => T): T {
    return attempt(verb, () => this.#stack.top.pathOf(name), call);
  }
}
