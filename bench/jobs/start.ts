/** The daemon itself. */
import { many } from "../../test/support/brief.ts";
import { setTimeout as delay } from "node:timers/promises";
import { shell } from "../../test/support/derivations.ts";
import { build, type Figure, fresh, type Job, middle, put, seconds } from "../job.ts";
import type { Bench } from "../peer.ts";
import { registerObjects } from "../registered.ts";

/** How fast it is there, and what it takes when idle. */
export const start: Job = {
  name: "start",
  async run(bench) {
    const time = await startTime(bench);
    await delay(300);
    return [
      { what: "daemon start to first answer", value: time, unit: "ms" },
      { what: "memory when idle", value: bench.memory("VmRSS"), unit: "MiB" },
    ];
  },
};

/** The same with many objects in the store, and what builds take there. The objects are rows of Kiln's database. */
export const largeStore: Job = {
  name: "a store of many objects",
  async run(bench) {
    if (bench.name !== "kiln") return [];
    const figures: Figure[] = [];
    for (const [count, times] of [
      [0, "no"],
      [many(100_000), "100,000"],
    ] as const) {
      await bench.stop();
      registerObjects(bench.database, count);
      const time = await startTime(bench);
      if (count > 0) {
        const what = `daemon start to first answer, ${times} objects`;
        figures.push({ what, value: time, unit: "ms" });
      }
      figures.push({
        what: `20 builds in a store of ${times} other objects`,
        value: await twentyBuilds(bench),
        unit: "ms",
      });
    }
    return figures;
  },
};

async function startTime(bench: Bench): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < many(5); round++) times.push(await bench.start());
  return middle(times);
}

async function twentyBuilds(bench: Bench): Promise<number> {
  const client = await bench.client();
  const times: number[] = [];
  for (let round = 0; round < many(4); round++) {
    const tag = fresh("twenty");
    const all = Array.from({ length: many(20) }, (_, n) =>
      shell(`${tag}-${n}`, `echo ${tag}${n} > $out`),
    );
    const paths = await put(bench, client, all);
    times.push(await seconds(() => build(client, paths)));
  }
  // The first round waits for what is started once.
  return middle(times.slice(1)) * 1000;
}
