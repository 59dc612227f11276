/** What Kiln must reach in each row, beside its peers or by itself, and whether it does. */
import { isBrief } from "../test/support/brief.ts";
import type { Unit } from "./job.ts";
import type { Limit } from "./limits.ts";

/** One condition of a target. */
type Bound =
  /** So many times a peer's figure, or the better one's. */
  | { readonly times: number; readonly of: "zb" | "nix" | "better" }
  /** So many times the lowest of what the machine can do, by the names of limits.ts. */
  | { readonly times: number; readonly ofLimits: readonly string[] }
  /** So many times Kiln's figure in another row. */
  | { readonly times: number; readonly ofRow: string }
  | { readonly value: number };

/** By the name of the row; all conditions count. */
const targets: Readonly<Record<string, readonly Bound[]>> = {
  "import one object": [
    { times: 3, of: "zb" },
    { times: 0.5, ofLimits: ["SHA-256, one thread", "512 MiB written and synced"] },
  ],
  "memory at most, importing 512 MiB": [{ value: 160 }],
  "import small objects, one stream": [
    { times: 1.3, of: "nix" },
    { times: 5, of: "zb" },
  ],
  "import small objects, 8 connections": [
    { times: 1.3, of: "nix" },
    { times: 5, of: "zb" },
  ],
  "import a tree": [{ times: 1, of: "nix" }],
  "export one object": [{ times: 1, of: "zb" }],
  "export small objects": [
    { times: 3, of: "zb" },
    { times: 0.7, of: "nix" },
  ],
  "export a closure, chain": [{ times: 1.2, of: "better" }],
  "export a closure, wide": [{ times: 1.2, of: "better" }],
  "info, one by one": [{ value: 4000 }],
  "info, 64 deep": [{ value: 30_000 }],
  "delete recursively, chain": [{ times: 3, of: "nix" }],
  "delete recursively, wide": [{ times: 3, of: "nix" }],
  "realise 100 derivations": [{ times: 2.5, of: "better" }],
  "realise them again": [{ times: 0.7, of: "nix" }],
  "chain of builds, per build": [{ times: 0.6, of: "zb" }],
  "chain of builds in the sandbox, per build": [{ times: 0.8, of: "zb" }],
  "64 sleeping builds, 8 jobs: speed-up": [{ value: 0.88 * 8 }],
  "64 sleeping builds, 16 jobs: speed-up": [{ value: 0.78 * 16 }],
  "after a builder that wrote 512 MiB": [{ times: 15, of: "zb" }],
  "after a builder that wrote 5,000 files": [{ times: 1.3, of: "zb" }],
  "sandbox with 100 inputs, over unsandboxed": [{ value: 60 }],
  "daemon start to first answer": [{ value: 110 }],
  "daemon start to first answer, 100,000 objects": [{ value: 110 }],
  "memory when idle": [{ value: 75 }],
  "20 builds in a store of 100,000 other objects": [
    { times: 1.25, ofRow: "20 builds in a store of no other objects" },
  ],
};

/** A row of the table: medians. */
export interface Row {
  readonly what: string;
  readonly unit: Unit;
  readonly kiln: number | undefined;
  readonly zb: number | undefined;
  readonly nix: number | undefined;
}

export interface Verdict {
  /** What the figure must reach; undefined when there is no target, or a peer that it needs was not there. */
  readonly needed: number | undefined;
  readonly text: string;
  readonly met: boolean | undefined;
}

/** What a row may be compared with. */
export interface Run {
  readonly rows: readonly Row[];
  readonly limits: readonly Limit[];
}

/** Whether the row has met its target, and by how much it has not. */
export function judge(row: Row, run: Run): Verdict {
  const bounds = isBrief ? undefined : boundsOf(row.what);
  if (bounds === undefined) return { needed: undefined, text: "", met: undefined };
  const isLess = lessIsBetter(row.unit);
  const values: number[] = [];
  for (const bound of bounds) {
    const value = valueOf(bound, row, run);
    if (value !== undefined) values.push(value);
  }
  const isComplete = values.length === bounds.length;
  if (row.kiln === undefined || values.length === 0) {
    return { needed: undefined, text: "not measured: a peer is missing", met: undefined };
  }
  const needed = isLess ? Math.min(...values) : Math.max(...values);
  const factor = isLess ? needed / row.kiln : row.kiln / needed;
  if (factor < 1) {
    const missing = isLess ? row.kiln / needed - 1 : 1 - factor;
    return { needed, text: `missed by ${Math.ceil(missing * 100)} %`, met: false };
  }
  if (!isComplete) return { needed, text: "met as far as measured", met: undefined };
  return { needed, text: "met", met: true };
}

function boundsOf(what: string): readonly Bound[] | undefined {
  if (what.startsWith("answers to others")) return [{ value: 50 }];
  return targets[what];
}

function valueOf(bound: Bound, row: Row, { rows, limits }: Run): number | undefined {
  if ("value" in bound) return bound.value;
  if ("ofLimits" in bound) {
    const found = limits.filter(({ what }) => bound.ofLimits.includes(what));
    return bound.times * Math.min(...found.map(({ value }) => value));
  }
  if ("ofRow" in bound) {
    const other = rows.find(({ what }) => what === bound.ofRow)?.kiln;
    return other === undefined ? undefined : bound.times * other;
  }
  const base = bound.of === "better" ? better(row) : row[bound.of];
  return base === undefined ? undefined : bound.times * base;
}

function better({ zb, nix, unit }: Row): number | undefined {
  const known = [zb, nix].filter((value) => value !== undefined);
  if (known.length === 0) return undefined;
  return lessIsBetter(unit) ? Math.min(...known) : Math.max(...known);
}

export function lessIsBetter(unit: Unit): boolean {
  return unit === "s" || unit === "ms" || unit === "MiB";
}
