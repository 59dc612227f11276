/**
 * Which derivations of a build are drawn. A drawing of a thousand is of no use to anybody: targets, what failed or runs, the critical path
 * and their neighbours are shown, the rest is folded, by state and by depth.
 */
import { depthsOf } from "../graph/depths.ts";
import type { Edge } from "../graph/layout.ts";
import type { LiveResult } from "./live-build.ts";

export interface FoldedNode {
  readonly id: string;
  /** One for a derivation that is drawn by itself. */
  readonly members: readonly LiveResult[];
  readonly isFolded: boolean;
  readonly state: string;
}

export interface FoldedGraph {
  readonly nodes: readonly FoldedNode[];
  readonly edges: readonly Edge[];
  /** Derivations that are not drawn by themselves. */
  readonly folded: number;
}

export interface FoldOptions {
  readonly critical: ReadonlySet<string>;
  /** How many derivations were taken out of a fold. */
  readonly opened: ReadonlyMap<string, number>;
  /** The most that is drawn by itself. */
  readonly limit: number;
}

/** How much it matters that a derivation is drawn by itself; 0: it may be folded. */
function importance(result: LiveResult, critical: ReadonlySet<string>): number {
  if (["failed", "error", "interrupted"].includes(result.state)) return 5;
  if (result.isTarget) return 4;
  if (result.state === "running" || result.state === "substituting") return 3;
  return critical.has(result.drvPath) ? 2 : 0;
}

export function fold(
  results: ReadonlyMap<string, LiveResult>,
  { critical, opened, limit }: FoldOptions,
): FoldedGraph {
  const depths = depthsOf(results.keys(), (id) =>
    (results.get(id)?.inputs ?? []).filter((input) => results.has(input)),
  );
  const shown = chosen(results, critical, limit);
  const groupOf = new Map<string, string>();
  const groups = new Map<string, LiveResult[]>();
  const left = new Map(opened);
  for (const result of results.values()) {
    const { drvPath, state } = result;
    const fold = `${state} ${depths.get(drvPath) ?? 0}`;
    let id = drvPath;
    if (!shown.has(drvPath)) {
      const room = left.get(fold) ?? 0;
      if (room > 0) left.set(fold, room - 1);
      else id = fold;
    }
    groupOf.set(drvPath, id);
    const members = groups.get(id);
    if (members === undefined) groups.set(id, [result]);
    else members.push(result);
  }
  const nodes = Array.from(groups, ([id, members]) => ({
    id,
    members,
    // A fold with one member is that one.
    isFolded: members.length > 1,
    state: members[0]?.state ?? "waiting",
  }));
  const edges = new Map<string, Edge>();
  for (const { drvPath, inputs } of results.values()) {
    const to = groupOf.get(drvPath);
    for (const input of inputs) {
      const from = groupOf.get(input);
      if (from === undefined || to === undefined || from === to) continue;
      edges.set(`${from} ${to}`, { from, to });
    }
  }
  const drawn = nodes.filter(({ isFolded }) => !isFolded).length;
  return { nodes, edges: [...edges.values()], folded: results.size - drawn };
}

/** The derivations that are drawn by themselves: the important ones first, then their neighbours, as many as there is room for. */
function chosen(
  results: ReadonlyMap<string, LiveResult>,
  critical: ReadonlySet<string>,
  limit: number,
): Set<string> {
  if (results.size <= Math.min(limit, 40)) return new Set(results.keys());
  const ranked = [...results.values()]
    .map((result) => ({ result, rank: importance(result, critical) }))
    .filter(({ rank }) => rank > 0)
    .toSorted((a, b) => b.rank - a.rank)
    .map(({ result }) => result);
  const shown = new Set(ranked.slice(0, limit).map(({ drvPath }) => drvPath));
  // Half of the room is for neighbours: all of them would be nearly everything.
  const room = Math.max(shown.size, Math.floor(limit / 2));
  for (const result of ranked) {
    for (const input of result.inputs) {
      if (shown.size >= room) return shown;
      if (results.get(input)?.state !== "reused" && results.has(input)) shown.add(input);
    }
  }
  return shown;
}
