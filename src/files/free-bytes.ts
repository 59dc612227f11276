import { statfsSync } from "node:fs";
import { KilnError } from "../util/kiln-error.ts";
import { attempt, spaceHint } from "./file-error.ts";

/** Bytes that are free for this process on the file system of `place`. */
export function freeBytes(place: string): number {
  const { bavail, bsize } = attempt("look at", place, () => statfsSync(place));
  return bavail * bsize;
}

/** Whether fewer bytes than this fit is not worth a look. */
const worthLooking = 4 * 1024 * 1024;

/**
 * Looks beforehand whether a file will fit: what does not, is not written until the disk is full.
 *
 * @throws KilnError `disk.full` when so many bytes would not fit on the file system of `place`
 */
export function requireSpace(place: string, bytes: number): void {
  if (bytes < worthLooking) return;
  const free = freeBytes(place);
  if (bytes <= free) return;
  throw new KilnError(
    "disk.full",
    `${bytes} bytes do not fit on the disk of ${place}: ${free} are free`,
    { kind: "internal", path: place, hint: spaceHint },
  );
}
