/** Puts a {@link Layout} on disk. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import type { Layout } from "./layout.ts";

/** Writes what a sandbox has at `/` into `root`, an empty directory, and makes it unwritable. */
export function writeSkeleton(root: string, layout: Layout): void {
  for (const [path, entry] of layout) {
    const real = root + path;
    if (entry.type === "directory") mkdirSync(real);
    else if (entry.type === "link") symlinkSync(entry.target, real);
    else writeFileSync(real, entry.content, { flag: "wx", mode: 0o444 });
  }
  // Only now: a plain user needs to write into a directory while it is filled.
  for (const [path, { type }] of layout) {
    if (type === "directory") chmodSync(root + path, 0o555);
    else if (type === "file") chmodSync(root + path, 0o444);
  }
  chmodSync(root, 0o555);
}
