/** What a daemon has at a moment: memory, descriptors, threads, processes, and files that are there only for a while. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Bench } from "../peer.ts";

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
      processes: descendants(pid),
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
    const builds = readdirSync(this.#bench.folder).filter((name) => name.startsWith("zb-build-"));
    const places = ["tmp", "trash"].flatMap((name) => readdirSync(`${own}/${name}`));
    return builds.length + places.length;
  }
}

/** How many processes there are below `pid`. */
function descendants(pid: number): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = parentOf(name);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [pid];
  for (const one of found) found.push(...(children.get(one) ?? []));
  return found.length - 1;
}

function parentOf(pid: string): number | undefined {
  if (!/^[1-9][0-9]*$/.test(pid)) return undefined;
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // it has ended meanwhile
  }
}
