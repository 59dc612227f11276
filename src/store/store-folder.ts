/** What may become a store: a folder with things of somebody's own in it must not, whoever names it by mistake. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { errorCode, fileError } from "../files/file-error.ts";
import { defaultStoreDirectory, storePathFor } from "../format/store-path.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";

/**
 * Checks that a folder is missing, empty, Kiln's already (then it is not listed), or has store objects in it, as zb's.
 *
 * @throws KilnError `store.directory`
 */
export function requireStoreFolder(folder: string): void {
  if (lstatSync(join(folder, ".kiln"), { throwIfNoEntry: false }) !== undefined) return;
  const names = namesIn(folder);
  if (names.some(isObjectName)) return;
  const strangers = names.filter((name) => name !== fileSystemsOwn);
  if (strangers.length === 0) return;
  const shown = strangers.toSorted().slice(0, 3).join(", ");
  const more = strangers.length > 3 ? ` and ${strangers.length - 3} more` : "";
  throw new KilnError(
    "store.directory",
    `${folder} is no store, and not empty: it has ${shown}${more}`,
    {
      path: folder,
      hint: "name a folder that is new, empty, or a store",
    },
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw fileError("read", folder, error);
  }
}

/** What a file system makes at its root. */
const fileSystemsOwn = "lost+found";

function isObjectName(name: string): boolean {
  try {
    storePathFor(defaultStoreDirectory, name);
    return true;
  } catch (error) {
    if (hasCode(error, "path.invalid")) return false;
    throw error;
  }
}
