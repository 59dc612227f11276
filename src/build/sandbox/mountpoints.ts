/**
 * The places in a slot's `store/` where inputs are mounted, kept from build to build.
 *
 * Making a thousand directories takes longer than mounting a thousand inputs, renaming them does not. So those a build has no use
 * for are put aside, out of its sight, and get another name when they are wanted again.
 *
 * No builder can touch them: while it runs, each is covered by a mount, and that keeps it from being renamed or removed.
 */
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../files/file-error.ts";
import { bytesToString, stringToBytes } from "../../util/byte-string.ts";

/** What stands for an input: a place to mount it on, or a copy of the link that it is. */
export type Stub =
  | { readonly type: "directory" | "file" }
  /** `target` is a byte string. */
  | { readonly type: "link"; readonly target: string };

/** What is to stand for the file at `path`. */
export function stubFor(path: string): Stub {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) return { type: "link", target: readLink(path) };
  return { type: stats.isDirectory() ? "directory" : "file" };
}

export class Mountpoints {
  readonly #directory: string;
  readonly #spareDirectory: string;
  /** What is in the directory, by name. */
  #present = new Map<string, Stub>();
  readonly #spare: Record<"directory" | "file", string[]> = { directory: [], file: [] };
  #made = 0;

  /** Both directories exist and are empty, on one file system; nobody but this process can reach the second one. */
  constructor(directory: string, spareDirectory: string) {
    this.#directory = directory;
    this.#spareDirectory = spareDirectory;
  }

  has(name: string): boolean {
    return this.#present.has(name);
  }

  /** Makes the directory hold exactly these stubs, by name, beside what is not a stub. */
  arrange(wanted: ReadonlyMap<string, Stub>): void {
    for (const [name, stub] of this.#present) {
      if (!isSame(wanted.get(name), stub) || !this.#isThere(name, stub)) this.#putAside(name, stub);
    }
    for (const [name, stub] of wanted) {
      if (!this.#present.has(name)) this.#add(name, stub);
    }
  }

  #add(name: string, stub: Stub): void {
    const path = join(this.#directory, name);
    if (stub.type === "link") {
      symlinkSync(stringToBytes(stub.target), path);
    } else {
      const spare = this.#spare[stub.type].pop();
      if (spare !== undefined) renameSync(spare, path);
      else if (stub.type === "directory") mkdirSync(path, 0o755);
      else closeSync(openSync(path, "wx", 0o444));
    }
    this.#present.set(name, stub);
  }

  #putAside(name: string, stub: Stub): void {
    this.#present.delete(name);
    const path = join(this.#directory, name);
    if (stub.type === "link" || !this.#isThere(name, stub)) {
      rmSync(path, { recursive: true, force: true });
      return;
    }
    const spare = join(this.#spareDirectory, String(++this.#made));
    renameSync(path, spare);
    this.#spare[stub.type].push(spare);
  }

  /** Mounting follows links, so nothing is mounted on what was not looked at. */
  #isThere(name: string, stub: Stub): boolean {
    const path = join(this.#directory, name);
    try {
      const stats = lstatSync(path);
      if (stub.type === "link") return stats.isSymbolicLink() && readLink(path) === stub.target;
      return stub.type === "directory" ? stats.isDirectory() : stats.isFile();
    } catch (error) {
      if (errorCode(error) === "ENOENT") return false;
      throw error;
    }
  }
}

function readLink(path: string): string {
  return bytesToString(readlinkSync(path, { encoding: "buffer" }));
}

function isSame(a: Stub | undefined, b: Stub): boolean {
  if (a?.type !== b.type) return false;
  return a.type !== "link" || b.type !== "link" || a.target === b.target;
}
