/** What can be seen of a tree without reading its files. */
import { lstatSync } from "node:fs";
import { errorCode } from "../files/file-error.ts";
import { inSlices } from "../files/slices.ts";
import { walk } from "../files/walk.ts";

export interface TreeState {
  /** When something in the tree last changed, in milliseconds since the Unix epoch; undefined when there is no tree. */
  readonly changedAt: number | undefined;
  /** What is not as it is at rest, for people: `bin/app has the mode 0644`. Undefined when all is. */
  readonly unfrozen: string | undefined;
}

/**
 * Looks at everything in a tree: at rest, files have the mode 0444 or 0555, folders 0555, and all the time 0 and, where `owner`
 * is given, that owner.
 *
 * @throws KilnError `file.…`
 */
export async function treeState(
  tree: string,
  owner: { readonly uid: number; readonly gid: number } | undefined,
): Promise<TreeState> {
  let changedAt = -Infinity;
  let unfrozen: string | undefined;
  try {
    await inSlices(walk(tree), ({ type, parent, name }) => {
      if (type === "leave") return;
      const stats = lstatSync(parent.at(name));
      changedAt = Math.max(changedAt, stats.ctimeMs);
      if (unfrozen !== undefined) return;
      const wrong = whatIsWrong(stats, owner);
      if (wrong !== undefined) unfrozen = `${parent.pathOf(name)} ${wrong}`;
    });
    return { changedAt, unfrozen };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { changedAt: undefined, unfrozen: undefined };
    throw error;
  }
}

function whatIsWrong(
  stats: NonNullable<ReturnType<typeof lstatSync>>,
  owner: { readonly uid: number; readonly gid: number } | undefined,
): string | undefined {
  const { uid, gid } = stats;
  if (owner !== undefined && (Number(uid) !== owner.uid || Number(gid) !== owner.gid)) {
    return `belongs to ${uid}:${gid}`;
  }
  if (stats.isSymbolicLink()) return undefined;
  const mode = Number(stats.mode) & 0o7777;
  const isRight = mode === 0o555 || (mode === 0o444 && stats.isFile());
  if (!isRight) return `has the mode 0${mode.toString(8)}`;
  return Number(stats.mtimeMs) === 0 ? undefined : "has another time than 0";
}
