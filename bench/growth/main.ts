/**
 * How the time of each job grows with what there is to do: measured at n, 2n and 4n, each in a new store. An exponent of 1 is linear.
 *
 *     npm run bench:growth -- [--only TEXT] [--rounds 2]
 */
import { isBrief, many } from "../../test/support/brief.ts";
import { positive, scriptOptions } from "../../test/support/script-options.ts";
import { needsWorld } from "../../test/support/world.ts";
import { Bench, sandboxed } from "../peer.ts";
import { growing } from "./jobs.ts";

type Sizes = [number, number, number];

/** n log n at these sizes, and what chance adds. */
const most = 1.15;

const values = scriptOptions("npm run bench:growth -- [--only TEXT] [--rounds 2]", {
  only: { type: "string" },
  rounds: { type: "string", default: "2" },
});
const factors = isBrief ? [1] : [1, 2, 4];
const rounds = isBrief ? 1 : positive("rounds", values.rounds);
if (needsWorld !== false) throw new Error(needsWorld);

console.log(
  "| what | n | n | 2n | 4n | exponent | of processor time | at most 1.15 |\n|---|---:|---:|---:|---:|---:|---:|---|",
);
for (const job of growing) {
  if (values.only !== undefined && !job.name.includes(values.only)) continue;
  const times: Sizes = [Infinity, Infinity, Infinity];
  const processor: Sizes = [Infinity, Infinity, Infinity];
  // The best of some rounds: what others do on the machine only ever makes it slower.
  for (let round = 0; round < rounds; round++) {
    for (const [index, factor] of factors.entries()) {
      await using bench = await Bench.open("kiln");
      await bench.start(job.isSandboxed === true ? sandboxed : []);
      const { took, processorTime } = await job.run(bench, many(job.size) * factor);
      times[index] = Math.min(times[index]!, took);
      processor[index] = Math.min(processor[index]!, processorTime);
    }
  }
  const [passed, used] = [exponent(times), exponent(processor)];
  // Time that passes grows with what others do, too; processor time is counted in ticks, of which short jobs have few.
  const isGood = Math.min(passed, used) <= most;
  const verdict = isBrief ? "" : isGood ? "good" : "BAD";
  if (!isGood && !isBrief) process.exitCode = 1;
  const shown = times.map(figure).join(" | ");
  console.log(
    `| ${job.name} | ${many(job.size).toLocaleString("en")} | ${shown} | ${isBrief ? "" : passed.toFixed(2)} | ${isBrief ? "" : used.toFixed(2)} | ${verdict} |`,
  );
}

/** Growth from the smallest to the largest of three sizes, as a power of the size. */
function exponent([small, , large]: Sizes): number {
  // A tick is the least that can be told of.
  return Math.log(Math.max(10, large) / Math.max(10, small)) / Math.log(4);
}

/** Milliseconds; nothing for what was not measured, for brevity. */
function figure(value: number): string {
  if (value === Infinity) return "";
  return `${value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3)} ms`;
}
