/** What one build may take: the flags, and what the configuration says. */
import type { Command } from "commander";
import type { ResourceLimits } from "../server/options.ts";
import { KilnError } from "../util/kiln-error.ts";
import { valued } from "./arguments.ts";
import { parseDuration, parseInteger } from "./go-values.ts";

export interface LimitFlags {
  /** Milliseconds. */
  readonly maxBuildTime?: number;
  readonly maxSilentTime?: number;
  /** Bytes. */
  readonly maxLogSize?: number;
  readonly maxMemory?: number;
  readonly maxOutputSize?: number;
  readonly maxProcesses?: number;
}

/** Adds the flags of commands that run builders; `when` ends their descriptions. */
export function withLimits(command: Command, when = ""): Command {
  const add = (
    flags: string,
    description: string,
    type: Parameters<typeof parseLimit>[0],
  ): Command => command.addOption(valued(flags, description + when, parseLimit(type)));
  add("--max-build-time <duration>", "end builders after this time", "duration");
  add("--max-silent-time <duration>", "end builders that write nothing for this time", "duration");
  add("--max-log-size <size>", "end builders that write more than this", "size");
  add("--max-memory <size>", "memory of a build, in sandboxes", "size");
  add("--max-output-size <size>", "refuse outputs larger than this", "size");
  return add("--max-processes <number>", "processes of a build, in sandboxes", "count");
}

/** The flag of each limit. */
const flagOf: Readonly<Record<keyof ResourceLimits, readonly [keyof LimitFlags, string]>> = {
  wallTime: ["maxBuildTime", "--max-build-time"],
  silentTime: ["maxSilentTime", "--max-silent-time"],
  logSize: ["maxLogSize", "--max-log-size"],
  memory: ["maxMemory", "--max-memory"],
  outputSize: ["maxOutputSize", "--max-output-size"],
  processes: ["maxProcesses", "--max-processes"],
};

/** The limits that were given as flags, as they are typed. */
export function limitFlags(flags: LimitFlags): string[] {
  return Object.values(flagOf).flatMap(([name, typed]) =>
    flags[name] === undefined ? [] : [typed],
  );
}

/** The flag of the limit that a failure's code names: `--max-build-time` of `limit.wallTime`. */
export function limitFlagOf(code: string): string | undefined {
  return Object.entries(flagOf).find(([limit]) => code === `limit.${limit}`)?.[1][1];
}

/** The limits that hold: flags before configuration; 0 is no limit. */
export function limitsFrom(flags: LimitFlags, configured: ResourceLimits = {}): ResourceLimits {
  const named = {
    wallTime: flags.maxBuildTime ?? configured.wallTime,
    silentTime: flags.maxSilentTime ?? configured.silentTime,
    logSize: flags.maxLogSize ?? configured.logSize,
    memory: flags.maxMemory ?? configured.memory,
    outputSize: flags.maxOutputSize ?? configured.outputSize,
    processes: flags.maxProcesses ?? configured.processes,
  };
  const entries = Object.entries(named).filter(([, limit]) => limit !== undefined && limit > 0);
  return Object.fromEntries(entries) as ResourceLimits;
}

/**
 * How a limit is written: a duration as Go's (`1h30m`), a size in bytes or with a unit (`512M`, `4GiB`), a number.
 *
 * Throws `usage.value`.
 */
export function parseLimit(type: "duration" | "size" | "count"): (text: string) => number {
  const parse = { duration: parseDuration, size: parseSize, count: parseInteger }[type];
  return (text) => {
    const value = parse(text);
    if (value >= 0) return value;
    throw new KilnError("usage.value", `${text} is less than 0`, { hint: "0 is no limit" });
  };
}

const units = ["", "K", "M", "G", "T"];

/** Bytes: `1048576`, `1024K`, `1M`, `1MiB`, `0.5G`; all units are powers of 1024. Throws `usage.value`. */
export function parseSize(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  if (number === undefined) {
    throw new KilnError("usage.value", `"${text}" is no size`, {
      hint: "bytes, or a number and a unit: 512M, 10GiB",
    });
  }
  return Math.round(Number(number) * 1024 ** units.indexOf(unit.toUpperCase()));
}
