/** The files of a folder, looked at but not read. */
import { lstatSync, readdirSync, readlinkSync, type BigIntStats } from "node:fs";
import { compareBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";

/** A file, folder or symlink below the root of an imported tree. */
export interface Entry {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink";
}

export interface WalkedEntry extends Entry {
  readonly stats: BigIntStats;
  /** Where a symlink leads. */
  readonly target: string;
}

/**
 * `root` itself (with the path "") and everything below it that `keep` does not refuse, folders before what is in them, names in
 * byte order. A refused folder is not entered; symlinks are not followed.
 *
 * @throws KilnError `source.type` for sockets and the like, `source.name` for names that are not UTF-8, `source.changed` for what
 *   goes away meanwhile; the file system's errors.
 */
export function walk(root: string, keep: (entry: Entry) => boolean = () => true): WalkedEntry[] {
  const found = [look(root, "")];
  if (found[0]?.type === "directory") enter(root, "", keep, found);
  return found;
}

function enter(
  folder: string,
  prefix: string,
  keep: (entry: Entry) => boolean,
  found: WalkedEntry[],
): void {
  for (const name of readdirSync(folder).toSorted(compareBytes)) {
    const file = `${folder}/${name}`;
    const entry = look(file, prefix + name);
    if (!keep({ path: entry.path, type: entry.type })) continue;
    found.push(entry);
    if (entry.type === "directory") enter(file, `${prefix}${name}/`, keep, found);
  }
}

function look(file: string, path: string): WalkedEntry {
  const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) throw gone(file);
  if (stats.isFile()) return { path, type: "file", stats, target: "" };
  if (stats.isDirectory()) return { path, type: "directory", stats, target: "" };
  if (stats.isSymbolicLink()) return { path, type: "symlink", stats, target: readlinkSync(file) };
  throw new KilnError("source.type", `${file} is neither a file nor a folder nor a symlink`, {
    path: file,
  });
}

function gone(file: string): KilnError {
  // Node gives U+FFFD for what it could not read as UTF-8, and then finds no such file.
  if (file.includes("\ufffd")) {
    return new KilnError("source.name", `the name of ${file} is not UTF-8`, { path: file });
  }
  return new KilnError("source.changed", `${file} went away while it was read`, { path: file });
}
