/** Figures of many rounds, by row and by who did it. */
import { zb } from "../test/support/peers.ts";
import type { Figure, Job, Unit } from "./job.ts";
import { Nix } from "./nix.ts";
import { closure, streamOf } from "./objects.ts";
import { Bench } from "./peer.ts";
import type { Row } from "./targets.ts";

export type Contender = "kiln" | "zb" | "nix";

export class Measurements {
  readonly #contenders: readonly Contender[];
  readonly #limit: number;
  readonly #notes: string[];
  readonly #found = new Map<string, { unit: Unit; values: Map<Contender, number[]> }>();

  /** `limit` is what one may take for a job, in milliseconds; `notes` gets what went wrong. */
  constructor(contenders: readonly Contender[], limit: number, notes: string[]) {
    this.#contenders = contenders;
    this.#limit = limit;
    this.#notes = notes;
  }

  /** One round of a job: each in turn. */
  async take(job: Job): Promise<void> {
    for (const contender of this.#contenders) {
      for (const { what, unit, value } of await this.#run(job, contender)) {
        const row = this.#found.get(what) ?? { unit, values: new Map() };
        this.#found.set(what, row);
        row.values.set(contender, [...(row.values.get(contender) ?? []), value]);
      }
    }
  }

  rows(): Row[] {
    return Array.from(this.#found, ([what, { unit, values }]) => ({
      what,
      unit,
      kiln: median(values.get("kiln")),
      zb: median(values.get("zb")),
      nix: median(values.get("nix")),
    }));
  }

  async #run(job: Job, contender: Contender): Promise<readonly Figure[]> {
    if (contender === "nix") {
      if (job.nix === undefined) return [];
      await using nix = await Nix.open();
      return await this.#withinLimit(job.nix(nix), job.name, contender);
    }
    await using bench = await Bench.open(contender, zb);
    await bench.start();
    if (contender === "zb") await giveStatistics(bench);
    return await this.#withinLimit(job.run(bench), job.name, contender);
  }

  /** One that takes for ever has no figures, and does not keep the others waiting. */
  async #withinLimit(
    running: Promise<readonly Figure[]>,
    job: string,
    contender: Contender,
  ): Promise<readonly Figure[]> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), this.#limit);
    running.catch(() => {}); // what comes after the limit is of no interest
    try {
      const figures = await Promise.race([running, late.promise]);
      if (figures !== undefined) return figures;
      this.#notes.push(`${contender} took more than ${this.#limit / 1000} s for "${job}"`);
      return [];
    } finally {
      clearTimeout(timer);
    }
  }
}

/** zb's planner knows its tables only after a restart with something in them: without, much of its work is quadratic. */
async function giveStatistics(bench: Bench): Promise<void> {
  const client = await bench.client();
  const objects = closure("chain", 200);
  await client.importStream(streamOf(objects));
  await bench.arrived(client, objects.at(-1)!.path);
  await bench.start();
}

function median(list: readonly number[] = []): number | undefined {
  return list.toSorted((a, b) => a - b)[list.length >> 1];
}
