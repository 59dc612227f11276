/** Makes a folder, and those above it that are missing. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Gives the first folder that it made, or undefined when all were there. Unlike Node's recursive `mkdirSync`, which then tries for ever,
 * this throws where a folder is there, but "no such file" is the answer to making anything in it: in `/proc`, and below some automounts.
 */
export function makeFolders(path: string, mode = 0o777): string | undefined {
  try {
    mkdirSync(path, mode);
    return path;
  } catch (error) {
    if (isFolder(path)) return undefined;
    const isMissingAbove = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!isMissingAbove || isFolder(dirname(path))) throw error;
  }
  const first = makeFolders(dirname(path), mode);
  const own = makeFolders(path, mode);
  return first ?? own;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
