/** How many builds are kept in memory: each takes some for itself, and some 2 KiB for each of its derivations. */
import { KilnError } from "../util/kiln-error.ts";
import type { BuildRequest } from "./build.ts";

/** What of a build tells how large it is, and whose. */
type Claim = Pick<BuildRequest, "user"> & {
  readonly graph: { readonly nodes: { readonly size: number } };
};

/** Builds of one user that run, or wait to, at the same time, ... */
const mostBuilds = 1000;

/** ... and derivations in all of them; a single build may have more. */
const mostDerivations = 200_000;

/** Builds that ended are kept for those who watch: this many, ... */
const mostRemembered = 16;

/** ... of no more derivations than this, but for the last one. */
const mostRememberedDerivations = 50_000;

/** @throws KilnError `build.tooMany` when `user`, if known, has too much under way to begin one more */
export function refuseTooMany({ user, graph }: Claim, running: Iterable<Claim>): void {
  if (user === undefined) return;
  let builds = 0;
  let derivations = graph.nodes.size;
  for (const other of running) {
    if (other.user !== user) continue;
    builds++;
    derivations += other.graph.nodes.size;
  }
  if (builds < mostBuilds && (builds === 0 || derivations <= mostDerivations)) return;
  const what = builds === 1 ? "1 build" : `${builds} builds`;
  const size = builds < mostBuilds ? `, with this one of ${derivations} derivations` : "";
  throw new KilnError("build.tooMany", `${user} has ${what} under way${size}`, {
    hint: "wait for some to end, or cancel them",
  });
}

/** How many of the builds that ended, the latest last, are to be remembered. */
export function countRemembered(ended: readonly Pick<Claim, "graph">[]): number {
  let count = 0;
  let derivations = 0;
  for (const { graph } of ended.slice(-mostRemembered).toReversed()) {
    derivations += graph.nodes.size;
    if (count > 0 && derivations > mostRememberedDerivations) break;
    count++;
  }
  return count;
}
