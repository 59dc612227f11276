/** Whether what a soak has measured is as it should be. */
import type { Sample } from "./sampler.ts";

export interface Soak {
  readonly minutes: number;
  /** When all was quiet. */
  readonly before: Sample;
  readonly after: Sample;
  readonly samples: readonly Sample[];
  readonly turns: Readonly<
    Record<string, readonly { readonly at: number; readonly took: number }[]>
  >;
  readonly faults: readonly string[];
}

export interface Verdict {
  readonly what: string;
  readonly early: string;
  readonly late: string;
  readonly allowed: string;
  readonly isGood: boolean;
}

/** By which memory may have grown, in MiB: what a heap has in pages by chance. */
const memorySlack = 12;
/** How many times longer a turn may take, beside what the machine itself has become slower. */
const slowdown = 1.3;
const machine = "the machine itself";

/** Compares the second quarter of the time with the last one (the first is for warming up), and quiet with quiet. */
export function judge(soak: Soak): Verdict[] {
  const { before, after, samples } = soak;
  const begin = samples[0]?.at ?? 0;
  const whole = soak.minutes * 60_000;
  const quarter = <T extends { readonly at: number }>(list: readonly T[], which: number): T[] =>
    list.filter(({ at }) => Math.min(3, Math.floor(((at - begin) / whole) * 4)) === which);
  const [early, late] = [1, 3].map((which) =>
    median(quarter(samples, which).map(({ memory }) => memory)),
  ) as [number, number];
  const verdicts: Verdict[] = [
    same("MiB of memory, at work", early, late, early + memorySlack),
    same("MiB of memory, in quiet", before.memory, after.memory, undefined),
    same("descriptors, in quiet", before.descriptors, after.descriptors, before.descriptors),
    same("threads, in quiet", before.threads, after.threads, before.threads),
    same("processes below it, in quiet", before.processes, after.processes, before.processes),
    same("leftovers, in quiet", before.leftovers, after.leftovers, 0),
  ];
  const times = (name: string, which: number): number =>
    median(quarter(soak.turns[name] ?? [], which).map(({ took }) => took));
  const pace = times(machine, 3) / times(machine, 1);
  for (const name of Object.keys(soak.turns)) {
    const [first, last] = [times(name, 1), times(name, 3)];
    // A few milliseconds are the scheduler's.
    const allowed = name === machine ? undefined : first * Math.max(1, pace) * slowdown + 5;
    verdicts.push(same(`ms: ${name}`, first, last, allowed));
  }
  verdicts.push(same("turns that failed", 0, soak.faults.length, 0));
  return verdicts;
}

export function table(soak: Soak, verdicts: readonly Verdict[]): string {
  const turns = Object.values(soak.turns).reduce((sum, list) => sum + list.length, 0);
  const peak = Math.max(...soak.samples.map(({ memory }) => memory));
  return [
    `${soak.minutes} minutes, ${turns.toLocaleString("en")} turns, at most ${Math.round(peak)} MiB of memory.`,
    "",
    "| | earlier | at the end | at most | verdict |",
    "|---|---:|---:|---:|---|",
    ...verdicts.map(
      ({ what, early, late, allowed, isGood }) =>
        `| ${what} | ${early} | ${late} | ${allowed} | ${allowed === "" ? "" : isGood ? "good" : "BAD"} |`,
    ),
  ].join("\n");
}

/** Without `allowed` the figure is there to be looked at only. */
function same(what: string, early: number, late: number, allowed: number | undefined): Verdict {
  return {
    what,
    early: figure(early),
    late: figure(late),
    allowed: allowed === undefined ? "" : figure(allowed),
    // Nothing that was measured is no good figure.
    isGood: allowed === undefined || late <= allowed,
  };
}

function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
}

function figure(value: number): string {
  return value >= 100 || Number.isInteger(value)
    ? Math.round(value).toString()
    : value.toPrecision(3);
}
