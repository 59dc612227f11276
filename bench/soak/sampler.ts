/** What a daemon has at a moment: memory, descriptors, threads, processes, and files that are there only for a while. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Bench } from "../peer.ts";
import { processesOf } from "../processes.ts";

export interface Sample {
  readonly at: number;
  /** MiB. */
  readonly memory: number;
  readonly descriptors: number;
  readonly threads: number;
  /** The daemon's, with all below them. */
  readonly processes: number;
  /** Entries of the store's own folder for what is not an object yet, or any more, and of the build root. */
  readonly leftovers: number;
}

export class Sampler {
  readonly #bench: Bench;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  sample(): Sample {
    const { pid } = this.#bench;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      at: performance.now(),
      memory: this.#bench.memory("VmRSS"),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      threads: Number(/Threads:\s+(\d+)/.exec(status)?.[1]),
      processes: processesOf(pid).length - 1,
      leftovers: this.#leftovers(),
    };
  }

  /** A sample each `interval` milliseconds, until `end`. */
  async run(end: number, interval: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    while (performance.now() < end) {
      samples.push(this.sample());
      await delay(interval);
    }
    return samples;
  }

  #leftovers(): number {
    const own = this.#bench.world.path("/opt/zb/store/.kiln");
    const builds = readdirSync(this.#bench.buildRoot).filter((name) =>
      name.startsWith("zb-build-"),
    );
    const places = ["tmp", "trash"].flatMap((name) => readdirSync(`${own}/${name}`));
    return builds.length + places.length;
  }
}
