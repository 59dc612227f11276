/** Each project's own folder among the things Kiln can make again. */
import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { makeFolders } from "../files/make-folders.ts";

/** Kiln's cache folder of this user: below `XDG_CACHE_HOME`, else `~/.cache`. */
export function defaultCacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const base = env["XDG_CACHE_HOME"];
  return join(base?.startsWith("/") === true ? base : join(homedir(), ".cache"), "kiln");
}

/**
 * The folder of the project whose build file lies in `folder`; made when it is not there. Only its owner may look into it, so that
 * nobody plants compiled code for another; if that cannot be had, undefined: then nothing is kept.
 */
export function projectCache(cacheDirectory: string, folder: string): string | undefined {
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 32);
  const own = join(cacheDirectory, "projects", name);
  try {
    makeFolders(own, 0o700);
    const stats = lstatSync(own);
    const isOurs = stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0;
    return stats.isDirectory() && isOurs ? own : undefined;
  } catch {
    return undefined;
  }
}
