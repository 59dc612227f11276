/** The daemon itself. */
import { setTimeout as delay } from "node:timers/promises";
import type { Job } from "../job.ts";

/** How fast it is there, and what it takes when idle. */
export const start: Job = {
  name: "start",
  async run(bench) {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) times.push(await bench.start());
    times.sort((a, b) => a - b);
    await delay(300);
    return [
      { what: "daemon start to first answer", value: times[2]!, unit: "ms" },
      { what: "memory when idle", value: bench.memory("VmRSS"), unit: "MiB" },
    ];
  },
};
