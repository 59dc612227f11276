/**
 * Measures Kiln beside the real zb, job by job, in turns (A B A B …), and this machine's own limits in the same run.
 *
 *     npm run bench -- [--quick] [--rounds N] [--only TEXT] [--kiln-only] [--json FILE]
 */
import { availableParallelism, cpus } from "node:os";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { needsZb, zb } from "../test/support/peers.ts";
import { needsWorld } from "../test/support/world.ts";
import { type Figure, jobs } from "./jobs.ts";
import { closure, streamOf } from "./objects.ts";
import { machineLimits } from "./limits.ts";
import { Bench, type Name } from "./peer.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    "kiln-only": { type: "boolean", default: false },
    json: { type: "string" },
  },
});
if (needsWorld !== false) throw new Error(needsWorld);
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const names: Name[] = ["kiln"];
if (values["kiln-only"]) console.log("zb: left out");
else if (needsZb === false) names.push("zb");
else console.log(`zb: ${needsZb}`);

/** Milliseconds that a peer may take for one job. */
const jobLimit = 90_000;

/** All values of a figure, by peer. */
const found = new Map<string, { unit: Figure["unit"]; values: Map<Name, number[]> }>();
for (const job of jobs) {
  if (values.only !== undefined && !job.name.includes(values.only)) continue;
  if (values.quick && job.isLong === true) continue;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      await using bench = await Bench.open(name, zb);
      await bench.start();
      if (name === "zb") {
        // Its planner knows its tables only after a restart with something in them: without, much of this is quadratic.
        const client = await bench.client();
        const objects = closure("chain", 200);
        await client.importStream(streamOf(objects));
        await bench.arrived(client, objects.at(-1)!.path);
        await bench.start();
      }
      const figures = await withinLimit(job.run(bench), job.name, name);
      for (const { what, unit, value } of figures) {
        const row = found.get(what) ?? { unit, values: new Map() };
        found.set(what, row);
        row.values.set(name, [...(row.values.get(name) ?? []), value]);
      }
    }
  }
  process.stderr.write(`${job.name}\n`);
}

const rows = Array.from(found, ([what, { unit, values: all }]) => ({
  what,
  unit,
  kiln: median(all.get("kiln") ?? []),
  zb: median(all.get("zb") ?? []),
}));
const limits = await machineLimits();
console.log(
  `\n${cpus()[0]?.model ?? "?"}, ${availableParallelism()} CPUs, ${new Date().toISOString().slice(0, 10)}, ${rounds} rounds\n`,
);
console.log("| job | Kiln | zb | Kiln/zb | |\n|---|---|---|---|---|");
for (const { what, unit, kiln, zb: other } of rows) {
  const ratio = kiln === undefined || other === undefined ? "" : `${text(kiln / other)} x`;
  console.log(`| ${what} | ${text(kiln)} | ${text(other)} | ${ratio} | ${unit} |`);
}
console.log("\n| this machine | |\n|---|---|");
for (const { what, value, unit } of limits) console.log(`| ${what} | ${text(value)} ${unit} |`);
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ date: new Date().toISOString(), rounds, rows, limits }, null, 2)}\n`,
  );
}

/** A peer that takes for ever has no figures, and does not keep the others waiting. */
async function withinLimit(
  running: Promise<readonly Figure[]>,
  job: string,
  name: Name,
): Promise<readonly Figure[]> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), jobLimit);
  running.catch(() => {}); // what comes after the limit is of no interest
  const figures = await Promise.race([running, late.promise]);
  clearTimeout(timer);
  if (figures === undefined) console.log(`${job}: ${name} took more than ${jobLimit / 1000} s`);
  return figures ?? [];
}

function median(list: readonly number[]): number | undefined {
  return list.toSorted((a, b) => a - b)[list.length >> 1];
}

function text(value: number | undefined): string {
  if (value === undefined) return "-";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}
