/** Where the builder's file lies on this machine, as far as that can be told without entering the sandbox. */
import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { posix } from "node:path";
import type { ResolvedPath } from "./layout.ts";
import { isBelow } from "./paths.ts";

/** How many links are followed. */
const maxLinks = 8;

/**
 * The file of this host that a sandbox shows at `path`; undefined if there is none, or if a link leads to it from another place: that may
 * be something else in the sandbox.
 */
export function hostFileOf(path: string, shown: readonly ResolvedPath[]): string | undefined {
  let wanted = posix.normalize(path);
  for (let links = 0; links < maxLinks; links++) {
    const place = shown.find(({ inside }) => wanted === inside || isBelow(wanted, inside));
    if (place === undefined) return undefined;
    const rest = wanted.slice(place.inside.length);
    if (place.type !== "link") return fileIn(place.source, rest);
    wanted = posix.resolve(posix.dirname(place.inside), place.target) + rest;
  }
  return undefined;
}

/**
 * Where the links of the host that lead on from `path`, which a sandbox shows, come to a place that it does not show; undefined
 * when they do not.
 */
export function linkLostAt(path: string, shown: readonly ResolvedPath[]): string | undefined {
  let wanted = posix.normalize(path);
  for (let links = 0; links < maxLinks; links++) {
    const place = shown.find(({ inside }) => wanted === inside || isBelow(wanted, inside));
    if (place === undefined) return links === 0 ? undefined : wanted;
    const rest = wanted.slice(place.inside.length);
    const target = place.type === "link" ? place.target + rest : linkAt(place.source + rest);
    if (target === undefined) return undefined;
    const from = place.type === "link" ? place.inside : wanted;
    wanted = posix.resolve(posix.dirname(from), target);
  }
  return undefined;
}

function linkAt(file: string): string | undefined {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  return stats?.isSymbolicLink() === true ? readlinkSync(file) : undefined;
}

function fileIn(source: string, rest: string): string | undefined {
  try {
    const top = realpathSync(source);
    const real = realpathSync(source + rest);
    return real === top || isBelow(real, top) ? real : undefined;
  } catch {
    return undefined; // it is missing
  }
}
