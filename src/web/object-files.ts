/** What lies inside a store object. Links are shown, never followed. */
import { lstatSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { errorCode } from "../files/file-error.ts";
import type { StorePath } from "../format/store-path.ts";
import type { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { FileEntryMessage, FilesMessage } from "./api/messages.ts";

/** Entries of one directory that are told. */
const mostEntries = 10_000;

/** A file, directory or link inside an object, found without following a link. */
export interface FoundFile {
  /** Where it is on this machine. */
  readonly real: string;
  readonly stats: Stats;
}

/**
 * Finds `sub`, names joined by `/` or empty for the object itself, inside a registered object.
 *
 * @throws KilnError `store.missing`, `file.missing`
 */
export function findInside(store: Store, path: StorePath, sub: string): FoundFile {
  if (!store.has(path)) {
    throw new KilnError("store.missing", `${path} is not in the store`, { path });
  }
  const names = sub === "" ? [] : sub.split("/");
  let real = store.realPath(path);
  let stats = lstat(real, path);
  for (const name of names) {
    if (["", ".", ".."].includes(name) || name.includes("\0") || !stats.isDirectory()) {
      throw missing(path, sub);
    }
    real = `${real}/${name}`;
    stats = lstat(real, `${path}/${sub}`);
  }
  return { real, stats };
}

/** What there is to tell of it, with its entries when it is a directory. */
export function describeFile(found: FoundFile, path: string): FilesMessage {
  const own = entryMessage(path.slice(path.lastIndexOf("/") + 1), found);
  if (!found.stats.isDirectory()) return { ...own, path, entries: null, more: 0 };
  const names = readdirSync(found.real).toSorted();
  const entries = names.slice(0, mostEntries).map((name) => {
    const real = `${found.real}/${name}`;
    return entryMessage(name, { real, stats: lstatSync(real) });
  });
  return { ...own, path, entries, more: Math.max(0, names.length - mostEntries) };
}

function entryMessage(name: string, { real, stats }: FoundFile): FileEntryMessage {
  const isFile = stats.isFile();
  return {
    name,
    type: stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "symlink" : "regular",
    size: isFile ? stats.size : 0,
    executable: isFile && (stats.mode & 0o111) !== 0,
    target: stats.isSymbolicLink() ? readlinkSync(real) : null,
  };
}

function lstat(real: string, path: string): Stats {
  try {
    return lstatSync(real);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENAMETOOLONG") {
      throw missing(path, "");
    }
    throw error;
  }
}

function missing(path: string, sub: string): KilnError {
  const what = sub === "" ? path : `${path}/${sub}`;
  return new KilnError("file.missing", `there is no ${what}`, { path: what });
}
