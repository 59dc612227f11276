/**
 * Undoing, when a store is opened, what the process before this one had begun. The work grows with that, not with the store; but when it
 * was building, the names in the store directory are looked through.
 */
import { readdirSync, type BigIntStats } from "node:fs";
import {
  digestLength,
  nameOf,
  type StoreDirectory,
  type StorePath,
  storePathFor,
} from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { foretoldFor } from "./claims.ts";
import type { OpenIntent } from "./database/intents.ts";
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

/** Change times that tell that something came after an intent, and because of it. */
function timesOf({ createdAt }: OpenIntent): { from: number; to: number } {
  return { from: createdAt - tick, to: createdAt + foretoldFor + delay };
}

/** Takes away what builds made under names that were foretold, and did not register. Whether all of it is away. */
function undoForetold(parts: StoreParts, intents: readonly OpenIntent[]): boolean {
  if (intents.length === 0) return true;
  const times = new Map<string, { from: number; to: number }>();
  for (const intent of intents) {
    const name = nameOf(intent.path);
    const [some, others] = [timesOf(intent), times.get(name)];
    times.set(name, {
      from: Math.min(some.from, others?.from ?? Infinity),
      to: Math.max(some.to, others?.to ?? -Infinity),
    });
  }
  let isDone = true;
  for (const entry of readdirSync(parts.files.root)) {
    const time = times.get(entry.slice(digestLength + 1));
    if (time === undefined) continue;
    const path = pathOf(parts.directory, entry);
    if (path === undefined || parts.objects.has(path)) continue;
    const found = parts.files.find(path);
    if (found === undefined || !isWithin(time, found)) continue;
    if (!withdraw(parts, path)) isDone = false;
  }
  return isDone;
}

function isWithin({ from, to }: { from: number; to: number }, { ctimeMs }: BigIntStats): boolean {
  const changedAt = Number(ctimeMs);
  return changedAt >= from && changedAt <= to;
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
function undo(parts: StoreParts, intent: OpenIntent): boolean {
  const { path } = intent;
  if (parts.objects.has(path)) return true;
  const found = parts.files.find(path);
  if (found === undefined) return true;
  if (!isMeant(found, intent)) {
    parts.log("info", `${path} is not an object of this store, and not Kiln's: left alone`);
    return true;
  }
  return withdraw(parts, path);
}

/** Whether the intent is about what was found there, and not about what it was to replace, or what came there otherwise. */
function isMeant(found: BigIntStats, intent: OpenIntent): boolean {
  if (intent.inode !== undefined) return found.ino === intent.inode;
  // Where a builder works there was nothing before.
  return intent.foretells || isWithin(timesOf(intent), found);
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
