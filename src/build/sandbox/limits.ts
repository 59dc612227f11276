/** What enforces the limits of a build's memory, processes and files here: control groups, else limits of each process. */
import type { KilnError } from "../../util/kiln-error.ts";
import { limitReached } from "../limited-executor.ts";
import type { Controller, Hierarchies } from "./control-groups.ts";
import type { Ended } from "./launcher.ts";

export interface SandboxLimits {
  /** Bytes of memory, of all processes together where there are control groups. */
  readonly memory?: number;
  /** Processes and threads at the same time. */
  readonly processes?: number;
  /** Bytes of one file. */
  readonly fileSize?: number;
}

/** Options for `prlimit`: what no control group takes care of. */
export function processLimits(limits: SandboxLimits, hierarchies: Hierarchies): string[] {
  const { memory, processes, fileSize } = limits;
  return [
    ...(memory !== undefined && hierarchies.memory === undefined ? [`--as=${memory}`] : []),
    ...(processes !== undefined && hierarchies.pids === undefined ? [`--nproc=${processes}`] : []),
    ...(fileSize !== undefined ? [`--fsize=${fileSize}`] : []),
  ];
}

/** The limit that made the builder fail, if one did. */
export function limitBehind(
  ended: Ended,
  hit: Controller | undefined,
  limits: SandboxLimits,
): KilnError | undefined {
  if (ended.type === "exited" && ended.code === 0) return undefined;
  if (hit === "memory") {
    return limitReached("memory", `it needed more than ${limits.memory} bytes of memory`);
  }
  if (hit === "pids") {
    return limitReached("processes", `it wanted more than ${limits.processes} processes`);
  }
  const isTooLarge = ended.type === "signaled" && ended.signal === "SIGXFSZ";
  if (isTooLarge && limits.fileSize !== undefined) {
    return limitReached("outputSize", `it wrote a file of more than ${limits.fileSize} bytes`);
  }
  return undefined;
}

/** Those of the limits of memory and processes that nothing here can enforce. */
export function unheldLimits(
  limits: Pick<SandboxLimits, "memory" | "processes">,
  hierarchies: Hierarchies,
  hasPrlimit: boolean,
): string[] {
  if (hasPrlimit) return [];
  const { memory, processes } = limits;
  return [
    ...(memory !== undefined && hierarchies.memory === undefined ? ["memory"] : []),
    ...(processes !== undefined && hierarchies.pids === undefined ? ["processes"] : []),
  ];
}

/** Says what enforces each limit: `memory by control group v1`. */
export function describeLimits(hierarchies: Hierarchies, hasPrlimit: boolean): string[] {
  const by = (controller: Controller): string => {
    const version = hierarchies[controller]?.version;
    if (version !== undefined) return `control group v${version}`;
    return hasPrlimit ? "limits of each process" : "nothing here";
  };
  return [`memory by ${by("memory")}`, `processes by ${by("pids")}`];
}
