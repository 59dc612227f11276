/** Whether what lies on disk is still what was registered. */
import { lstatSync } from "node:fs";
import { hashTree } from "../files/dump.ts";
import { errorCode } from "../files/file-error.ts";
import { inSlices } from "../files/slices.ts";
import { walk } from "../files/walk.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { StoreParts } from "./parts.ts";

/**
 * Whether the registered object is there, whole and unchanged. Its bytes are read only when something in it changed after they
 * were last known to be right: an inode's change time, which no program can set back, tells.
 *
 * @throws KilnError when that cannot be found out now, through no fault of the object
 */
export async function isIntact(parts: StoreParts, info: ObjectInfo): Promise<boolean> {
  const file = parts.files.pathOf(info.storePath);
  try {
    if ((await lastChange(file)) <= lastVerified(parts, info.storePath)) return true;
    const start = Date.now();
    const { narHash, narSize } = await hashTree(file);
    if (narSize !== info.narSize || !narHash.equals(info.narHash)) return false;
    noteSound(parts, info.storePath, start);
    return true;
  } catch (error) {
    if (!isFaultOfObject(error)) throw error;
    parts.log("warn", `${info.storePath} cannot be read: ${KilnError.from(error).message}`);
    return false;
  }
}

/**
 * Whether a failure to read an object says something about the object. A lack of descriptors or memory does not: nothing may be
 * put aside or made again because of it.
 */
export function isFaultOfObject(error: unknown): boolean {
  const { code } = KilnError.from(error);
  const isSystem = code === "disk.io" || code.startsWith("file.");
  return isSystem || code.startsWith("nar.");
}

/**
 * When the object's bytes were last known to be right; 0 when that is not known. A time that is yet to come was told by a clock that
 * was wrong, and says nothing about changes until then.
 */
export function lastVerified(parts: StoreParts, path: StorePath): number {
  const time = parts.objects.verifiedAt(path) ?? 0;
  return time > Date.now() + slack ? 0 : time;
}

/** Milliseconds by which a clock may be set back, as clocks are, without a word about it. */
const slack = 60_000;

/** Notes when the object's bytes were right. Where that cannot be written down (a full disk), they are read once more than necessary. */
export function noteSound(parts: StoreParts, path: StorePath, time: number): void {
  try {
    parts.objects.setVerifiedAt(path, time);
  } catch {
    // Nothing that was found out is less true.
  }
}

/** Notes that the object's bytes are wrong, so that the next import of it looks at them. */
export function noteDamage(parts: StoreParts, info: ObjectInfo): void {
  parts.log("error", `${info.storePath} is not what was registered; importing it again repairs it`);
  try {
    parts.objects.setVerifiedAt(info.storePath, 0);
  } catch (error) {
    parts.log(
      "warn",
      `cannot note that ${info.storePath} is damaged: ${KilnError.from(error).message}`,
    );
  }
}

/** When something in the tree last changed, in milliseconds since the Unix epoch; Infinity when there is no tree. */
async function lastChange(tree: string): Promise<number> {
  let last = -Infinity;
  try {
    await inSlices(walk(tree), ({ type, parent, name }) => {
      if (type !== "leave") last = Math.max(last, lstatSync(parent.at(name)).ctimeMs);
    });
    return last;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return Infinity;
    throw error;
  }
}
