/**
 * How the time of each job grows with what there is to do: measured at n, 2n and 4n, each in a new store. An exponent of 1 is linear.
 *
 *     npm run bench:growth -- [--only TEXT] [--rounds 2]
 */
import { parseArgs } from "node:util";
import { needsWorld } from "../../test/support/world.ts";
import { Bench, sandboxed } from "../peer.ts";
import { growing } from "./jobs.ts";

/** n log n at these sizes, and what chance adds. */
const most = 1.15;

const { values } = parseArgs({
  options: { only: { type: "string" }, rounds: { type: "string", default: "2" } },
});
if (needsWorld !== false) throw new Error(needsWorld);

console.log(
  "| what | n | n | 2n | 4n | exponent | at most 1.15 |\n|---|---:|---:|---:|---:|---:|---|",
);
for (const job of growing) {
  if (values.only !== undefined && !job.name.includes(values.only)) continue;
  const times: [number, number, number] = [Infinity, Infinity, Infinity];
  // The best of some rounds: what others do on the machine only ever makes it slower.
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [index, factor] of [1, 2, 4].entries()) {
      await using bench = await Bench.open("kiln");
      await bench.start(job.isSandboxed === true ? sandboxed : []);
      times[index] = Math.min(times[index]!, await job.run(bench, job.size * factor));
    }
  }
  const exponent = Math.log(times[2] / times[0]) / Math.log(4);
  const isGood = exponent <= most;
  if (!isGood) process.exitCode = 1;
  const shown = times.map((time) => `${time.toPrecision(3)} ms`).join(" | ");
  console.log(
    `| ${job.name} | ${job.size.toLocaleString("en")} | ${shown} | ${exponent.toFixed(2)} | ${isGood ? "good" : "BAD"} |`,
  );
}
