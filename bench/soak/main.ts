/**
 * Has a daemon do everything at once for a long time, and looks whether that leaves traces: memory, descriptors, processes, files, time.
 *
 *     npm run soak -- [--minutes 30] [--json FILE]
 *
 * Each kind of work rests between two turns, so that the machine is busy but not full. What is given back is looked at when all
 * is quiet: after a warm-up, and at the end.
 */
import { writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isBrief } from "../../test/support/brief.ts";
import { positive, scriptOptions } from "../../test/support/script-options.ts";
import { needsWorld } from "../../test/support/world.ts";
import { Bench, sandboxed } from "../peer.ts";
import { type Sample, Sampler } from "./sampler.ts";
import { judge, table } from "./verdicts.ts";
import { type Work, works, yardstick } from "./works.ts";

const values = scriptOptions("npm run soak -- [--minutes 30] [--json FILE]", {
  minutes: { type: "string", default: "30" },
  json: { type: "string" },
});
if (needsWorld !== false) throw new Error(needsWorld);
const minutes = isBrief ? 0.02 : positive("minutes", values.minutes);
/** Pauses are shorter when it is to be brief. */
const pause = async (milliseconds: number): Promise<void> =>
  await delay(isBrief ? milliseconds / 50 : milliseconds);

/** How long each turn took, by work: milliseconds, and when it was over. */
const turns = new Map<string, { readonly at: number; readonly took: number }[]>();
const faults: string[] = [];

await using bench = await Bench.open("kiln");
await bench.start([...sandboxed, "--jobs=4"]);
const sampler = new Sampler(bench);

await workFor(Math.min(60_000, minutes * 6_000));
turns.clear();
const before = await quiet();
const end = performance.now() + minutes * 60_000;
const sampling = sampler.run(end, isBrief ? 100 : 5000);
await workFor(minutes * 60_000);
const samples = await sampling;
const after = await quiet();

const report = { minutes, before, after, samples, turns: Object.fromEntries(turns), faults };
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report)}\n`);
const verdicts = judge(report);
console.log(table(report, verdicts));
for (const fault of faults.slice(0, 20)) console.log(fault);
if (isBrief) process.exitCode = faults.length > 0 ? 1 : 0;
else process.exitCode = verdicts.every(({ isGood }) => isGood) ? 0 : 1;

async function workFor(milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds;
  const repeat = async (work: Work): Promise<void> => {
    while (performance.now() < end) {
      await take(work);
      await pause(work.rest);
    }
  };
  await Promise.all([...works, yardstick].map(repeat));
}

async function take(work: Work): Promise<void> {
  const begin = performance.now();
  try {
    await work.run(bench);
  } catch (error) {
    faults.push(`${work.name}: ${String(error)}`);
    return;
  }
  const at = performance.now();
  const list = turns.get(work.name) ?? [];
  turns.set(work.name, list);
  list.push({ at, took: at - begin });
}

/** What the daemon has when nobody wants anything of it. */
async function quiet(): Promise<Sample> {
  {
    await using client = await bench.connect();
    await client.call("kiln.collect", { olderThan: 0 });
  }
  await pause(3000);
  return sampler.sample();
}
