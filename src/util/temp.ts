/** Temporary folders that remove themselves: `await using folder = await temporaryDirectory(...)`. */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * A new, empty folder in `parent` that only this user can enter; its name begins with `prefix`. Disposing of it removes it with
 * all that is in it, read-only folders too, and never follows a symlink.
 */
export async function temporaryDirectory(
  parent: string,
  prefix: string,
): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(parent, prefix));
  return {
    path,
    async [Symbol.asyncDispose](): Promise<void> {
      try {
        await rm(path, { recursive: true, force: true });
      } catch {
        // Without root, the entries of a read-only folder cannot be removed.
        await makeFoldersWritable(path);
        await rm(path, { recursive: true, force: true });
      }
    },
  };
}

/** What the first attempt is still removing may be gone meanwhile. */
async function makeFoldersWritable(folder: string): Promise<void> {
  try {
    await chmod(folder, 0o700);
    const entries = await readdir(folder, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory());
    for (const { name } of folders) await makeFoldersWritable(join(folder, name));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
