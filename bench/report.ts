/** The figures as a table with a verdict for each row, and as JSON. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import type { Limit } from "./limits.ts";
import { judge, type Row } from "./targets.ts";

export interface Results {
  /** ISO 8601. */
  readonly date: string;
  readonly rounds: number;
  /** The load average when it began: what others did. */
  readonly load: number;
  readonly rows: readonly Row[];
  readonly limits: readonly Limit[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/** In Markdown. */
export function table(results: Results): string {
  const { date, rounds, load, rows, limits, notes } = results;
  const lines = [
    `${machine()}, ${date.slice(0, 10)}, medians of ${rounds} ${rounds === 1 ? "round" : "rounds"}; load average at the beginning ${load.toFixed(1)}.`,
    "Kiln syncs each object to disk before it says so (`--durability=power`, the default); zb and Nix do not.",
    ...notes.map((note) => `Note: ${note}.`),
    "",
    "| job | Kiln | zb | Nix | | needed | target |",
    "|---|---:|---:|---:|---|---:|---|",
  ];
  for (const row of rows) {
    const { needed, text } = judge(row, results);
    const values = [row.kiln, row.zb, row.nix].map(figure).join(" | ");
    lines.push(`| ${row.what} | ${values} | ${row.unit} | ${figure(needed)} | ${text} |`);
  }
  lines.push("", "| this machine | | |", "|---|---:|---|");
  for (const { what, value, unit } of limits)
    lines.push(`| ${what} | ${figure(value)} | ${unit} |`);
  const verdicts = rows.map((row) => judge(row, results).met);
  const met = verdicts.filter((one) => one === true).length;
  const missed = verdicts.filter((one) => one === false).length;
  lines.push("", `${met} targets met, ${missed} missed.`);
  return lines.join("\n");
}

export function json(results: Results): string {
  const rows = results.rows.map((row) => ({ ...row, ...judge(row, results) }));
  return `${JSON.stringify({ machine: machine(), ...results, rows }, null, 2)}\n`;
}

const begin = "<!-- figures: npm run bench -- --record -->";
const end = "<!-- end of figures -->";

/** Writes the figures to `performance.md`, in place of those there, and to `performance.json`. Rows not measured now stay as they were. */
export function record(folder: string, results: Results): void {
  const data = `${folder}performance.json`;
  const page = `${folder}performance.md`;
  const measured = new Map(results.rows.map((row) => [row.what, row]));
  const before = existsSync(data)
    ? (JSON.parse(readFileSync(data, "utf8")) as Pick<Results, "rows">).rows
    : [];
  const rows = [
    ...before.map((row) => measured.get(row.what) ?? row),
    ...results.rows.filter(({ what }) => !before.some((row) => row.what === what)),
  ];
  const all = { ...results, rows };
  const text = readFileSync(page, "utf8");
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${page} has no place for the figures`);
  writeFileSync(data, json(all));
  writeFileSync(
    page,
    `${text.slice(0, from + begin.length)}\n\n${table(all)}\n\n${text.slice(to)}`,
  );
}

function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = cpus()[0]?.model ?? "unknown processor";
  return `${model}, ${availableParallelism()} CPUs, ${memory} GiB, Linux ${release()}, Node ${process.version}`;
}

function figure(value: number | undefined): string {
  if (value === undefined) return "-";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}
