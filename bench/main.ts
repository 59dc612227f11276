/**
 * Measures Kiln beside the real zb and Nix, job by job, in turns (A B C A B C …), and this machine's own limits in the same run.
 *
 *     npm run bench -- [--quick] [--rounds N] [--only TEXT] [--peers kiln,zb,nix] [--json FILE] [--record]
 *
 * `--quick` takes two minutes: one round without the long jobs. `--record` writes the
 * table and the JSON to docs/; with `--only`, the rows that were not measured stay as they were. `KILN_BRIEF=1`: each job once, with
 * little, without verdicts.
 */
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { isBrief, many } from "../test/support/brief.ts";
import { needsZb } from "../test/support/peers.ts";
import { mistake, positive, scriptOptions } from "../test/support/script-options.ts";
import { needsWorld } from "../test/support/world.ts";
import { jobs } from "./jobs/list.ts";
import { Limits } from "./limits.ts";
import { type Contender, Measurements } from "./measurements.ts";
import { needsNix } from "./nix.ts";
import { json, record, type Results, table } from "./report.ts";

const usage = `npm run bench -- [--quick] [--rounds N] [--only TEXT] [--peers kiln,zb,nix] [--json FILE] [--record]
jobs: ${jobs.map(({ name }) => name).join("; ")}`;
const values = scriptOptions(usage, {
  quick: { type: "boolean", default: false },
  rounds: { type: "string" },
  only: { type: "string" },
  peers: { type: "string", default: "kiln,zb,nix" },
  json: { type: "string" },
  record: { type: "boolean", default: false },
});
const { only = "" } = values;
const chosen = jobs.filter(({ name }) => name.includes(only));
if (chosen.length === 0) mistake(`--only: no job has ${only} in its name\nusage: ${usage}`);
if (needsWorld !== false) throw new Error(needsWorld);
const rounds = isBrief ? 1 : positive("rounds", values.rounds ?? (values.quick ? "1" : "3"));
const load = loadavg()[0] ?? 0;
const wanted = values.peers.split(",");
const notes: string[] = isBrief ? ["it was brief (KILN_BRIEF=1): the figures mean nothing"] : [];
const contenders: Contender[] = ["kiln"];
for (const [name, reason] of [
  ["zb", needsZb],
  ["nix", needsNix],
] as const) {
  if (!wanted.includes(name)) notes.push(`${name} was left out`);
  else if (reason === false) contenders.push(name);
  else notes.push(`${name} was left out: ${reason}`);
}

// Milliseconds that a peer may take for one job.
const measurements = new Measurements(contenders, values.quick ? 8000 : 90_000, notes);
const limits = new Limits();
await limits.measure();
// The last job may take a while, too.
const end = values.quick ? performance.now() + many(90_000) : Infinity;
const late: string[] = [];
for (const job of chosen) {
  if (values.quick && job.isLong === true) continue;
  if (performance.now() > end) {
    late.push(job.name);
    continue;
  }
  for (let round = 0; round < rounds; round++) await measurements.take(job);
  if (!values.quick && rounds > 1) await limits.measure();
  process.stderr.write(`${job.name}\n`);
}
if (late.length > 0) notes.push(`no time was left for: ${late.join(", ")}`);
await limits.measure();
const date = new Date().toISOString();
const rows = measurements.rows();
const results: Results = { date, rounds, load, rows, limits: limits.medians(), notes };
console.log(table(results));
if (values.json !== undefined) writeFileSync(values.json, json(results));
if (values.record) record(fileURLToPath(new URL("../docs/", import.meta.url)), results);
