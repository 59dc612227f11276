/** Undoing, when a store is opened, what the process before this one had begun. The work grows with that, not with the store. */
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Intent } from "./database/intents.ts";
import type { StoreParts } from "./parts.ts";

/**
 * Takes every name out of the store directory that an open intent calls Kiln's and that no row calls an object, and nothing
 * else. What cannot be undone now (a full or read-only disk) is logged and waits for the next start.
 */
export async function recover(parts: StoreParts): Promise<void> {
  try {
    const undone = parts.intents.open().filter((intent) => undo(parts, intent));
    if (undone.length > 0) {
      await parts.syncer.names();
      await parts.database.durably(() => parts.intents.clear(undone.map(({ path }) => path)));
    }
    parts.files.discardLeftovers();
  } catch (error) {
    parts.log("warn", `unfinished work of the last run stays: ${KilnError.from(error).message}`);
  }
}

/** Whether the intent has served its purpose. */
function undo(parts: StoreParts, { path, inode }: Intent): boolean {
  if (parts.objects.has(path)) return true;
  const found = parts.files.find(path);
  if (found === undefined) return true;
  if (inode !== undefined && found.ino !== inode) {
    parts.log("info", `${path} is not an object of this store, and not Kiln's: left alone`);
    return true;
  }
  return withdraw(parts, path);
}

function withdraw(parts: StoreParts, path: StorePath): boolean {
  try {
    parts.files.moveOut(path);
    return true;
  } catch (error) {
    parts.log("warn", `cannot remove unfinished ${path}: ${KilnError.from(error).message}`);
    return false;
  }
}
