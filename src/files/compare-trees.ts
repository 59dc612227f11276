/** What differs between two trees, entry by entry, in the order of their names. */
import { Buffer } from "node:buffer";
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { join } from "node:path";

/** An entry that is in one tree only, or not the same in both. */
export interface Difference {
  /** Below the trees; `.` for the trees themselves. */
  readonly path: string;
  readonly kind: "added" | "removed" | "changed";
  /** What changed, for people: `size 12 -> 14 bytes`, `mode 444 -> 555`. */
  readonly details: readonly string[];
}

/** Words that count as the same: an object's own digest stands in its files. */
export type Alias = readonly [inOld: string, inNew: string];

/** The differences, found one by one: whoever has seen enough of them stops asking. */
export function* compareTrees(
  old: string,
  now: string,
  alias?: Alias,
): Generator<Difference, void, void> {
  yield* compareEntries({ old, now, alias }, "");
}

interface Trees {
  readonly old: string;
  readonly now: string;
  readonly alias: Alias | undefined;
}

function* compareEntries(trees: Trees, path: string): Generator<Difference, void, void> {
  const [a, b] = [join(trees.old, path), join(trees.now, path)];
  const [was, is] = [lstatSync(a), lstatSync(b)];
  const details = [...kindAndMode(was, is)];
  if (was.isFile() && is.isFile()) details.push(...contents(trees, [a, was.size], [b, is.size]));
  if (was.isSymbolicLink() && is.isSymbolicLink()) {
    const [from, to] = [readlinkSync(a), readlinkSync(b)];
    if (masked(trees.alias, from, 0) !== masked(trees.alias, to, 1)) {
      details.push(`target ${from} -> ${to}`);
    }
  }
  if (details.length > 0) yield { path: path === "" ? "." : path, kind: "changed", details };
  if (!was.isDirectory() || !is.isDirectory()) return;
  const [before, after] = [new Set(readdirSync(a)), new Set(readdirSync(b))];
  for (const name of [...before.union(after)].toSorted()) {
    const below = join(path, name);
    if (!after.has(name)) yield { path: below, kind: "removed", details: [] };
    else if (!before.has(name)) yield { path: below, kind: "added", details: [] };
    else yield* compareEntries(trees, below);
  }
}

function kindAndMode(was: Stats, is: Stats): string[] {
  const [from, to] = [kindOf(was), kindOf(is)];
  if (from !== to) return [`${from} -> ${to}`];
  const [a, b] = [modeOf(was), modeOf(is)];
  return a === b || was.isSymbolicLink() ? [] : [`mode ${a} -> ${b}`];
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "directory";
  return stats.isSymbolicLink() ? "link" : "file";
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o777).toString(8);
}

function contents(
  { alias }: Trees,
  [a, sizeA]: readonly [string, number],
  [b, sizeB]: readonly [string, number],
): string[] {
  const at = firstDifference(pieces(a, alias?.[0]), pieces(b, alias?.[1]));
  if (sizeA !== sizeB) return [`size ${sizeA} -> ${sizeB} bytes`, ...place(at)];
  return at === undefined ? [] : ["same size", ...place(at)];
}

function place(at: number | undefined): string[] {
  return at === undefined ? [] : [`first at byte ${at}`];
}

function firstDifference(
  a: Generator<Buffer, void, void>,
  b: Generator<Buffer, void, void>,
): number | undefined {
  for (let at = 0; ;) {
    const [left, right] = [a.next().value, b.next().value];
    if (left === undefined && right === undefined) return undefined;
    if (left === undefined || right === undefined) return at;
    const length = Math.min(left.length, right.length);
    if (left.compare(right, 0, length, 0, length) !== 0) {
      return at + left.findIndex((byte, i) => byte !== right[i]);
    }
    if (left.length !== right.length) return at + length;
    at += length;
  }
}

const pieceSize = 256 * 1024;

/** A file's bytes, with zeros in the place of `word`; all pieces but the last are of one size. */
function* pieces(file: string, word: string | undefined): Generator<Buffer, void, void> {
  const fd = openSync(file, "r");
  const overlap = word === undefined ? 0 : word.length - 1;
  try {
    for (let at = 0; ;) {
      const buffer = Buffer.allocUnsafe(pieceSize + 2 * overlap);
      // What begins before this piece, or ends after it, is masked in both.
      const start = Math.max(0, at - overlap);
      const bytes = buffer.subarray(
        0,
        readSync(fd, buffer, 0, at - start + pieceSize + overlap, start),
      );
      if (word !== undefined) mask(bytes, word);
      const piece = bytes.subarray(at - start, at - start + pieceSize);
      if (piece.length === 0) return;
      yield piece;
      at += piece.length;
    }
  } finally {
    closeSync(fd);
  }
}

function mask(bytes: Buffer, word: string): void {
  for (let at = bytes.indexOf(word); at !== -1; at = bytes.indexOf(word, at)) {
    bytes.fill(0, at, at + word.length);
  }
}

function masked(alias: Alias | undefined, text: string, side: 0 | 1): string {
  return alias === undefined ? text : text.replaceAll(alias[side], "\0");
}
