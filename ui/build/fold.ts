/**
 * Which derivations of a build are drawn. A drawing of a thousand is of no use to anybody: targets, what failed or runs, the critical path
 * and their neighbours are shown, the rest is folded, by state and by depth.
 */
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
  /** From input to what needs it. */
  readonly edges: readonly { readonly from: string; readonly to: string }[];
  /** Derivations that are not drawn by themselves. */
  readonly folded: number;
}

export interface FoldOptions {
  readonly critical: ReadonlySet<string>;
  /** Folds that were opened. */
  readonly opened: ReadonlySet<string>;
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
  const depths = depthsOf(results);
  const shown = chosen(results, critical, limit);
  const groupOf = new Map<string, string>();
  const groups = new Map<string, LiveResult[]>();
  for (const result of results.values()) {
    const { drvPath, state } = result;
    const fold = `${state} ${depths.get(drvPath) ?? 0}`;
    const id = shown.has(drvPath) || opened.has(fold) ? drvPath : fold;
    groupOf.set(drvPath, id);
    groups.set(id, [...(groups.get(id) ?? []), result]);
  }
  const nodes = Array.from(groups, ([id, members]) => ({
    id,
    members,
    // A fold with one member is that one.
    isFolded: members.length > 1,
    state: members[0]?.state ?? "waiting",
  }));
  const edges = new Map<string, { from: string; to: string }>();
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

/** The longest way from something without inputs. */
function depthsOf(results: ReadonlyMap<string, LiveResult>): Map<string, number> {
  const depths = new Map<string, number>();
  const visit = (start: string): void => {
    const stack = [start];
    while (stack.length > 0) {
      const drvPath = stack.at(-1) ?? "";
      const inputs = (results.get(drvPath)?.inputs ?? []).filter((input) => results.has(input));
      const missing = inputs.filter((input) => !depths.has(input));
      if (missing.length > 0 && !depths.has(drvPath)) {
        // In a cycle, which there should not be, the deepest one counts as known.
        const fresh = missing.filter((input) => !stack.includes(input));
        if (fresh.length > 0) {
          stack.push(...fresh);
          continue;
        }
      }
      stack.pop();
      depths.set(drvPath, Math.max(0, ...inputs.map((input) => (depths.get(input) ?? 0) + 1)));
    }
  };
  for (const drvPath of results.keys()) if (!depths.has(drvPath)) visit(drvPath);
  return depths;
}
