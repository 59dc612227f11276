/** Roots that outlive the process: named ones, and links to results that people keep. */
import { lstatSync, readlinkSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { errorCode } from "../files/file-error.ts";
import { parsePathInDirectory, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Root } from "./database/root-table.ts";
import type { StoreParts } from "./parts.ts";

/** A root to be made. */
export interface NewRoot {
  /** What it is called; of a link, its absolute path. */
  readonly name: string;
  /** Of a link none is given: it is where it points. */
  readonly target?: StorePath | undefined;
  /** Who asks for it. */
  readonly user?: string | undefined;
  /** Who must own the link: another user's is refused. Default: anybody. */
  readonly owner?: number | undefined;
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}$/;

/** Bytes of a link's path. */
const longestLink = 4095;

/**
 * Makes a root, or gives the one with this name another object.
 *
 * @throws KilnError `store.missing`, `root.name`, `root.link` (no link to an object of this store), `root.denied` (another's link)
 */
export async function addRoot(parts: StoreParts, wanted: NewRoot): Promise<Root> {
  const { name, user, target } = wanted;
  const isLink = target === undefined;
  const root: Root = {
    name,
    kind: isLink ? "link" : "name",
    target: isLink ? linkTarget(parts, wanted) : namedTarget(name, target),
    user,
    createdAt: Date.now(),
  };
  // Whoever is told that it is a root must find it kept, also after a power failure.
  parts.usage.note(root.target);
  if (!parts.objects.has(root.target)) {
    throw new KilnError("store.missing", `${root.target} is not in the store`, {
      path: root.target,
    });
  }
  await parts.database.durably(() => parts.lastingRoots.put(root));
  return root;
}

/**
 * What a root kept can be collected from now on: so a full disk is no hindrance.
 *
 * @throws KilnError `root.missing`
 */
export async function removeRoot(parts: StoreParts, name: string): Promise<void> {
  const { database, lastingRoots, reserve } = parts;
  const isRemoved = await reserve.spend(
    async () => await database.durably(() => lastingRoots.remove(name)),
  );
  if (reserve.isSpent) reserve.take();
  if (!isRemoved) {
    throw new KilnError("root.missing", `there is no root ${name}`, {
      hint: "kiln root list shows those that there are",
    });
  }
}

/** The roots that count now. Links that are gone, or point somewhere else than into the store, are forgotten. */
export async function findRoots(parts: StoreParts): Promise<readonly Root[]> {
  const all = parts.lastingRoots.list();
  const kept = keptLinks(parts);
  const byName = new Map(kept.map((root) => [root.name, root]));
  const stale = all.filter(({ name }) => !byName.has(name));
  const moved = all
    .map((root) => byName.get(root.name))
    .filter((root, i) => root !== undefined && root.target !== all[i]?.target);
  if (stale.length + moved.length > 0) {
    const update = (): void => {
      for (const { name } of stale) parts.lastingRoots.remove(name);
      for (const root of moved) if (root !== undefined) parts.lastingRoots.put(root);
    };
    await parts.reserve.spend(async () => await parts.database.durably(update));
  }
  for (const { name } of stale) parts.log("info", `the link ${name} is gone: no root any more`);
  return kept;
}

/** The same without changing anything. */
export function keptLinks(parts: StoreParts): readonly Root[] {
  return parts.lastingRoots
    .list()
    .map((root) => (root.kind === "link" ? present(parts, root) : root))
    .filter((root) => root !== undefined);
}

/** The root of a link as it is now; undefined when it is none any more. */
function present(parts: StoreParts, root: Root): Root | undefined {
  let text: string;
  try {
    text = readlinkSync(root.name);
  } catch (error) {
    const code = errorCode(error);
    // What cannot be looked at may well be there.
    return code === "ENOENT" || code === "EINVAL" || code === "ENOTDIR" ? undefined : root;
  }
  const target = objectAt(parts, resolve(dirname(root.name), text));
  return target === undefined ? undefined : { ...root, target };
}

/** The object that a file of this machine is, or is inside of. */
function objectAt(parts: StoreParts, file: string): StorePath | undefined {
  const { root } = parts.files;
  const logical = file.startsWith(`${root}/`)
    ? `${parts.directory}${file.slice(root.length)}`
    : file;
  try {
    return parsePathInDirectory(parts.directory, logical).path;
  } catch {
    return undefined;
  }
}

function namedTarget(name: string, target: StorePath): StorePath {
  if (namePattern.test(name)) return target;
  throw new KilnError("root.name", `${JSON.stringify(name)} is no name for a root`, {
    hint: "letters, digits and . _ @ + - (up to 200)",
  });
}

function linkTarget(parts: StoreParts, { name, owner }: NewRoot): StorePath {
  const fail = (why: string): KilnError =>
    new KilnError("root.link", `${JSON.stringify(name)} is no root: ${why}`, { path: name });
  if (!isAbsolute(name) || name.includes("\0") || Buffer.byteLength(name) > longestLink) {
    throw fail("a link's absolute path is wanted");
  }
  let text: string;
  try {
    const stats = lstatSync(name);
    if (owner !== undefined && owner !== stats.uid) throw denied(name);
    if (!stats.isSymbolicLink()) throw fail("it is no link");
    text = readlinkSync(name);
  } catch (error) {
    // Whether there is something that only the daemon can see is nothing to tell others.
    if (owner !== undefined) throw denied(name);
    if (error instanceof KilnError) throw error;
    throw fail(errorCode(error) === "ENOENT" ? "it is not there" : "it cannot be read");
  }
  const target = objectAt(parts, resolve(dirname(name), text));
  if (target === undefined) throw fail("it does not point at an object of this store");
  return target;
}

function denied(name: string): KilnError {
  return new KilnError("root.denied", `${name} is another user's link, or none`, { path: name });
}
