/**
 * The tree an archive becomes.
 *
 * The files of an archive are its author's idea, so no path of it is ever looked up on the disk: what is where is remembered here.
 * A parent is a directory that this tree made itself, or the entry is refused; every file, directory and link is created
 * exclusively, in a directory nobody else may enter. So there is no link to follow, whatever the archive says.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { requireSpace } from "../../../files/free-bytes.ts";
import { builderFault, quote } from "../fault.ts";
import type { Pace } from "../pace.ts";
import { placeOf } from "./entry-name.ts";
import { type Budget, maxTargetBytes } from "./limits.ts";

const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const copyChunkSize = 1 << 20;

type Node = Directory | "file" | "symlink";
type Directory = Map<string, Node>;

export interface TreeOptions {
  /** Whether the one top-level entry of the archive becomes the output, instead of being in it. */
  readonly strip: boolean;
  readonly budget: Budget;
  readonly pace: Pace;
}

export class ArchiveTree implements Disposable {
  readonly #output: string;
  readonly #strip: boolean;
  readonly #budget: Budget;
  readonly #pace: Pace;
  /** What became of the output; absent until an entry asks for it. */
  #root: Node | undefined;
  /** With `strip`: the name that every entry begins with. */
  #top: string | undefined;
  /** The output, opened once it is a directory. */
  #handle: number | undefined;

  /** `output` must not exist, and its parent must be closed to others. */
  constructor(output: string, options: TreeOptions) {
    this.#output = output;
    this.#strip = options.strip;
    this.#budget = options.budget;
    this.#pace = options.pace;
    if (!this.#strip) this.#makeRootDirectory();
  }

  directory(name: Buffer): void {
    this.#budget.spendEntry();
    const place = this.#place(name);
    if (place !== undefined) this.#directoryAt(place, name, { paid: true });
  }

  symlink(name: Buffer, target: Buffer): void {
    this.#budget.spendEntry();
    if (target.length === 0 || target.length > maxTargetBytes || target.includes(0)) {
      throw refused(name, `a symlink has a target of 1 to ${maxTargetBytes} bytes without NUL`);
    }
    const path = this.#vacate(name, "symlink");
    symlinkSync(target, path);
  }

  /** A new empty file to write to. `size` is what the archive announces; more or less may be written. */
  file(name: Buffer, executable: boolean, size = 0): FileWriter {
    this.#budget.spendEntry();
    this.#budget.checkBytes(size);
    requireSpace(dirname(this.#output), size);
    return new FileWriter(openSync(this.#vacate(name, "file"), create, permissions(executable)), {
      budget: this.#budget,
      pace: this.#pace,
    });
  }

  /**
   * A hard link to a regular file that the archive has brought before: a copy of it. Two names of one file would be one file to
   * whoever rewrites or freezes the object, and objects do not record that.
   */
  async hardLink(name: Buffer, target: Buffer): Promise<void> {
    const source = this.#place(target);
    const node = source === undefined ? undefined : this.#find(source);
    if (source === undefined || node !== "file") {
      const what = node === undefined ? "nothing it brought before" : "no regular file";
      throw refused(name, `it is a hard link to ${quote(target)}, ${what}`);
    }
    const place = this.#place(name);
    if (place !== undefined && place.join("/") === source.join("/")) {
      this.#budget.spendEntry();
      return;
    }
    const from = openSync(this.#path(source), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { mode, size } = fstatSync(from);
      using file = this.file(name, (mode & 0o100) !== 0, size);
      const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(size, copyChunkSize)));
      for (let read = readSync(from, buffer); read > 0; read = readSync(from, buffer)) {
        await file.write(buffer.subarray(0, read));
      }
    } finally {
      closeSync(from);
    }
  }

  /** To be awaited between entries, see {@link Pace}. */
  async breathe(): Promise<void> {
    await this.#pace.breathe();
  }

  /**
   * The archive is complete.
   *
   * @throws KilnError `extract.empty` when nothing of it can become the output.
   */
  finish(): void {
    if (this.#root === undefined) throw builderFault("extract.empty", "empty archive");
    if (this.#handle !== undefined) fchmodSync(this.#handle, 0o755);
  }

  [Symbol.dispose](): void {
    if (this.#handle === undefined) return;
    closeSync(this.#handle);
    this.#handle = undefined;
  }

  /** Where `name` is below the output; undefined for the directory around the output, which is nothing. */
  #place(name: Buffer): string[] | undefined {
    const elements = placeOf(name, this.#strip ? 1 : 0);
    this.#budget.checkDepth(elements.length - 1, quote(name));
    if (!this.#strip) return elements;
    const [top, ...place] = elements;
    if (top === undefined) return undefined;
    this.#top ??= top;
    if (top !== this.#top) {
      throw builderFault(
        "extract.strip",
        `archive contains multiple top-level files: ${quote(this.#top)} and ${quote(top)}`,
      );
    }
    return place;
  }

  #find(place: readonly string[]): Node | undefined {
    let node = this.#root;
    for (const element of place) {
      if (!(node instanceof Map)) return undefined;
      node = node.get(element);
    }
    return node;
  }

  /** Makes room for a file or symlink and returns its path. What an earlier entry of that name brought is gone then. */
  #vacate(name: Buffer, node: "file" | "symlink"): string {
    const place = this.#place(name);
    if (place === undefined) throw refused(name, "it is not a directory");
    const last = place.at(-1);
    const parent = last === undefined ? undefined : this.#directoryAt(place.slice(0, -1), name);
    const existing = last === undefined ? this.#root : parent?.get(last);
    if (existing instanceof Map) throw refused(name, "there is a directory of that name");
    const path = this.#path(place);
    if (existing !== undefined) unlinkSync(path);
    if (last === undefined) this.#root = node;
    else parent?.set(last, node);
    return path;
  }

  /** The directory at `place`, made with all above it where they are missing. `paid`: an entry asked for this one. */
  #directoryAt(place: readonly string[], name: Buffer, { paid = false } = {}): Directory {
    let directory = this.#rootDirectory(name);
    for (const [i, element] of place.entries()) {
      let node = directory.get(element);
      if (node === undefined) {
        if (!paid || i < place.length - 1) this.#budget.spendEntry();
        mkdirSync(this.#path(place.slice(0, i + 1)), 0o777);
        node = new Map();
        directory.set(element, node);
      }
      directory = this.#asDirectory(node, name);
    }
    return directory;
  }

  #rootDirectory(name: Buffer): Directory {
    return this.#root === undefined
      ? this.#makeRootDirectory()
      : this.#asDirectory(this.#root, name);
  }

  #asDirectory(node: Node, name: Buffer): Directory {
    if (node instanceof Map) return node;
    throw refused(name, `there is a ${node} where a directory of that path should be`);
  }

  #makeRootDirectory(): Directory {
    mkdirSync(this.#output, 0o700);
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    this.#handle = openSync(this.#output, flags);
    const root: Directory = new Map();
    this.#root = root;
    return root;
  }

  /** Below the opened directory where the system can (Linux): then it does not matter what is done to its name. */
  #path(place: readonly string[]): string {
    if (place.length === 0) return this.#output;
    const below = process.platform === "linux" && this.#handle !== undefined;
    return [below ? `/proc/self/fd/${this.#handle}` : this.#output, ...place].join("/");
  }
}

/** A file of the tree while its contents arrive. */
export class FileWriter implements Disposable {
  readonly #budget: Budget;
  readonly #pace: Pace;
  #handle: number | undefined;

  /** Takes the descriptor over. */
  constructor(handle: number, options: { readonly budget: Budget; readonly pace: Pace }) {
    this.#handle = handle;
    this.#budget = options.budget;
    this.#pace = options.pace;
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.#handle === undefined) throw new TypeError("the file is closed");
    this.#budget.spendBytes(chunk.length);
    for (let at = 0; at < chunk.length;) at += writeSync(this.#handle, chunk, at);
    await this.#pace.breathe();
  }

  [Symbol.dispose](): void {
    if (this.#handle === undefined) return;
    closeSync(this.#handle);
    this.#handle = undefined;
  }
}

function permissions(executable: boolean): number {
  return executable ? 0o777 : 0o666;
}

function refused(name: Buffer, reason: string): Error {
  return builderFault("extract.entry", `refused ${quote(name)}: ${reason}`);
}
