/**
 * Undoing what zb does to files that links point to.
 *
 * When zb freezes an object it changes the modes of symlinks, too, and so, reaching through them, those of the files they point to, in
 * the same object or another one: a link's own mode is 0777, and the file becomes executable. Then the file is not any more what
 * zb itself has hashed. Which files may have suffered follows from the links; which have, from the hash.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
} from "node:fs";
import { dumpNar } from "../../files/dump.ts";
import { errorCode } from "../../files/file-error.ts";
import { inSlices } from "../../files/slices.ts";
import { walk } from "../../files/walk.ts";
import { Hash } from "../../format/hash.ts";

/** The executable marker of a file in a NAR: two words, each with its length, padded to 8 bytes. */
const markerSize = 32;

/** How often an object is read at most, and how many bytes in all, before its files' modes are given up. */
const limits = { readings: 64, bytes: 8 * 1024 ** 3 };

/** The files of each object that links of any object point to: by object name, their paths in the object ("" for itself). */
export type LinkTargets = ReadonlyMap<string, ReadonlySet<string>>;

/** Looks for links in the objects called `names` in the physical store directory `root`. Absent objects have none. */
export async function findLinkTargets(root: string, names: Iterable<string>): Promise<LinkTargets> {
  const start = `${realpathSync(root)}/`;
  const targets = new Map<string, Set<string>>();
  for (const name of names) {
    try {
      await inSlices(walk(`${root}/${name}`), ({ type, parent, name: entry }) => {
        if (type !== "symlink") return;
        const target = targetOf(parent.at(entry));
        if (target?.startsWith(start) !== true) return;
        const [object = "", ...path] = target.slice(start.length).split("/");
        const known = targets.get(object) ?? new Set();
        targets.set(object, known.add(path.join("/")));
      });
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }
  return targets;
}

function targetOf(link: string | Buffer): string | undefined {
  try {
    return realpathSync(link);
  } catch {
    return undefined; // it leads nowhere, also for zb
  }
}

/**
 * Which of the files `suspects` in `tree` must lose their execute permission to give the tree this NAR hash and size; undefined when
 * that is not found out. Nothing is changed.
 */
export async function findWrongModes(
  tree: string,
  expected: { readonly narHash: Hash; readonly narSize: number },
  suspects: Iterable<string>,
): Promise<string[] | undefined> {
  // First those that do not look like something to be run.
  const files = [...suspects]
    .flatMap((path) => lookAt(tree, path) ?? [])
    .toSorted((a, b) => Number(a.isProgram) - Number(b.isProgram) || (a.path < b.path ? -1 : 1));
  const guess = files.filter(({ isProgram }) => !isProgram).map(({ path }) => path);
  const first = await hashWithout(tree, new Set(guess));
  if (first.narHash.equals(expected.narHash)) return guess;
  // The size tells how many there must be.
  const count = guess.length + (first.narSize - expected.narSize) / markerSize;
  if (!Number.isInteger(count) || count < 1 || count > files.length) return undefined;
  let [readings, bytes] = [1, first.narSize];
  for (const choice of choices(
    files.map(({ path }) => path),
    count,
  )) {
    if (++readings > limits.readings || bytes > limits.bytes) return undefined;
    const { narHash, narSize } = await hashWithout(tree, new Set(choice));
    if (narHash.equals(expected.narHash)) return choice;
    bytes += narSize;
  }
  return undefined;
}

/** Takes execute permission from files of a tree. */
export function clearModes(tree: string, paths: readonly string[]): void {
  for (const path of paths) {
    const file = openFile(tree, path);
    try {
      fchmodSync(file, 0o444);
    } finally {
      closeSync(file);
    }
  }
}

/** Undefined for what is no executable file. */
function lookAt(tree: string, path: string): { path: string; isProgram: boolean } | undefined {
  let file: number;
  try {
    file = openFile(tree, path);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || (stats.mode & 0o111) === 0) return undefined;
    const head = Buffer.alloc(4);
    readSync(file, head, 0, 4, 0);
    const magic = head.toString("latin1");
    return { path, isProgram: magic === "\x7fELF" || magic.startsWith("#!") };
  } finally {
    closeSync(file);
  }
}

function openFile(tree: string, path: string): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  return openSync(path === "" ? tree : `${tree}/${path}`, flags);
}

async function hashWithout(
  tree: string,
  plain: ReadonlySet<string>,
): Promise<{ narHash: Hash; narSize: number }> {
  const hash = createHash("sha256");
  let narSize = 0;
  const executable = (path: string, isExecutable: boolean): boolean =>
    isExecutable && !plain.has(path);
  await inSlices(dumpNar(tree, { executable }), (chunk) => {
    hash.update(chunk);
    narSize += chunk.length;
  });
  return { narHash: Hash.of("sha256", hash.digest()), narSize };
}

/** All ways to take `count` of `items`, those with the first items first. */
function* choices<T>(items: readonly T[], count: number): Generator<T[], void, void> {
  if (count === 0) {
    yield [];
    return;
  }
  for (let i = 0; i + count <= items.length; i++) {
    for (const rest of choices(items.slice(i + 1), count - 1))
      yield [...items.slice(i, i + 1), ...rest];
  }
}
