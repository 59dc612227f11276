/** What this machine can do at all: the figures to hold the others against. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { makeFolder } from "./folders.ts";
import { middle } from "./job.ts";

export interface Limit {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

const program = fileURLToPath(new URL("limits-once.ts", import.meta.url));

/** Measured several times in a run, since what else the machine does comes and goes. */
export class Limits {
  readonly #found = new Map<string, { unit: string; values: number[] }>();

  async measure(): Promise<void> {
    const { stdout } = await promisify(execFile)(process.execPath, [program, makeFolder("limits")]);
    const all: Limit[] = JSON.parse(stdout);
    for (const { what, unit, value } of all) {
      const known = this.#found.get(what) ?? { unit, values: [] };
      this.#found.set(what, known);
      known.values.push(value);
    }
  }

  medians(): Limit[] {
    return Array.from(this.#found, ([what, { unit, values }]) => ({
      what,
      unit,
      value: middle(values),
    }));
  }
}
