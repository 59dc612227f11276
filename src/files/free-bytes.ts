import { statfsSync } from "node:fs";
import { KilnError } from "../util/kiln-error.ts";
import { attempt } from "./file-error.ts";

/** Bytes that are free for this process on the file system of `place`. */
export function freeBytes(place: string): number {
  const { bavail, bsize } = attempt("look at", place, () => statfsSync(place));
  return bavail * bsize;
}

/** @throws KilnError `disk.full` when so many bytes would not fit on the file system of `place` */
export function requireSpace(place: string, bytes: number): void {
  const free = freeBytes(place);
  if (bytes <= free) return;
  throw new KilnError(
    "disk.full",
    `${bytes} bytes do not fit on the disk of ${place}: ${free} are free`,
    { kind: "internal", path: place },
  );
}
