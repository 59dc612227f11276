/**
 * Undoing, when a store is opened, what the process before this one had begun. The work grows with that, not with the store; but when it
 * was building, the names in the store directory are looked through.
 */
import { readdirSync } from "node:fs";
import {
  digestLength,
  nameOf,
  type StoreDirectory,
  type StorePath,
  storePathFor,
} from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { foretoldFor } from "./claims.ts";
import type { Intent, OpenIntent } from "./database/intents.ts";
import type { StoreParts } from "./parts.ts";

/**
 * Takes every name out of the store directory that an open intent calls Kiln's and that no row calls an object, and nothing
 * else. What cannot be undone now (a full or read-only disk) is logged and waits for the next start.
 */
export async function recover(parts: StoreParts): Promise<void> {
  try {
    const open = parts.intents.open();
    const isSwept = undoForetold(
      parts,
      open.filter(({ foretells }) => foretells),
    );
    const undone = open.filter((intent) => undo(parts, intent) && (isSwept || !intent.foretells));
    if (undone.length > 0) {
      await parts.syncer.names();
      await parts.database.durably(() => parts.intents.clear(undone.map(({ path }) => path)));
    }
    parts.files.discardLeftovers();
  } catch (error) {
    parts.log("warn", `unfinished work of the last run stays: ${KilnError.from(error).message}`);
  }
}

/** Change times are those of the kernel's last tick. */
const tick = 1000;

/** For an intent to come to the disk, and for what it foretells to get from there to its place. */
const delay = 60_000;

/** Takes away what builds made under names that were foretold, and did not register. Whether all of it is away. */
function undoForetold(parts: StoreParts, intents: readonly OpenIntent[]): boolean {
  if (intents.length === 0) return true;
  const times = new Map<string, { from: number; to: number }>();
  for (const { path, createdAt } of intents) {
    const name = nameOf(path);
    const { from, to } = times.get(name) ?? { from: Infinity, to: -Infinity };
    times.set(name, {
      from: Math.min(from, createdAt - tick),
      to: Math.max(to, createdAt + foretoldFor + delay),
    });
  }
  let isDone = true;
  for (const entry of readdirSync(parts.files.root)) {
    const time = times.get(entry.slice(digestLength + 1));
    if (time === undefined) continue;
    const path = pathOf(parts.directory, entry);
    if (path === undefined || parts.objects.has(path)) continue;
    const found = parts.files.find(path);
    if (found === undefined) continue;
    const changedAt = Number(found.ctimeMs);
    if (changedAt < time.from || changedAt > time.to) continue;
    if (!withdraw(parts, path)) isDone = false;
  }
  return isDone;
}

/** Undefined for what is named otherwise than objects are. */
function pathOf(directory: StoreDirectory, name: string): StorePath | undefined {
  try {
    return storePathFor(directory, name);
  } catch {
    return undefined;
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
