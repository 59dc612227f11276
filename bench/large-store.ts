/**
 * What a store of very many objects costs: start, questions, the mark of a collection, the beginning of a list.
 *
 *     npm run bench:large -- [--objects 1000000]
 *
 * The objects are rows of the database, with three references each, as imports write them; on disk there are only the database and
 * the log.
 */
import { statSync } from "node:fs";
import type { StorePath } from "../src/format/store-path.ts";
import { isBrief, many } from "../test/support/brief.ts";
import { positive, scriptOptions } from "../test/support/script-options.ts";
import { kilnProgram, needsWorld } from "../test/support/world.ts";
import { middle } from "./job.ts";
import { Bench } from "./peer.ts";
import { registerObjects } from "./registered.ts";

const values = scriptOptions("npm run bench:large -- [--objects 1000000]", {
  objects: { type: "string", default: "1000000" },
});
if (needsWorld !== false) throw new Error(needsWorld);
const count = many(positive("objects", values.objects));

await using bench = await Bench.open("kiln");
await bench.start();
await bench.stop();
const paths = registerObjects(bench.database, count);
const size = statSync(bench.database).size / 2 ** 20;
console.log(
  `${count.toLocaleString("en")} objects with three references each: ${Math.round(size)} MiB of database, no files\n`,
);

const starts = await repeat(5, () => bench.start());
const client = await bench.client();
const waits = await repeat(1000, (index) =>
  time(() => client.call("zb.info", { path: paths[(index * 7919) % count]! })),
);
for (const [name, path] of rootsOf(paths)) await client.call("kiln.addRoot", { name, path });
const marks = await repeat(3, () =>
  time(() => client.call("kiln.collect", { dryRun: true, olderThan: 0 })),
);
const heads = await repeat(5, () => time(listHead));

const isLarge = count > 100_000;
console.log("| | | at most | |\n|---|---:|---:|---|");
line("start to first answer, median of 5", middle(starts), isLarge ? 150 : 110);
line("zb.info, median of 1,000", middle(waits), 5);
line("zb.info, 99th percentile", waits.toSorted((a, b) => a - b)[990]!, 5);
line("mark of a collection, median of 3", middle(marks), isLarge ? 10_000 : 1000);
line("kiln store list | head, median of 5", middle(heads), 200);
console.log(`| memory of the daemon | ${Math.round(bench.memory("VmRSS"))} MiB | | |`);

/** Nine tenths of the store is reached from here. */
function rootsOf(all: readonly StorePath[]): [string, StorePath][] {
  const last = Math.floor(all.length * 0.9);
  return Array.from({ length: 100 }, (_, n) => [`root-${n}`, all[last - 1 - n]!]);
}

async function listHead(): Promise<void> {
  const env = { ZB_STORE_SOCKET: bench.socket };
  const script = `"$1" store list | head -n 5`;
  const { stdout, stderr } = await bench.world.run("sh", ["-c", script, "sh", kilnProgram], {
    env,
  });
  const lines = stdout.toString().trim().split("\n");
  if (lines.length !== 5) throw new Error(`kiln store list: ${stderr}`);
}

async function repeat(
  times: number,
  measure: (index: number) => Promise<number>,
): Promise<number[]> {
  const found: number[] = [];
  for (let index = 0; index < times; index++) found.push(await measure(index));
  return found;
}

/** Milliseconds. */
async function time(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

function line(what: string, value: number, most: number): void {
  const text = value >= 100 ? Math.round(value) : value.toPrecision(3);
  console.log(`| ${what} | ${text} ms | ${most} ms | ${value <= most ? "met" : "MISSED"} |`);
  if (value > most && !isBrief) process.exitCode = 1;
}
