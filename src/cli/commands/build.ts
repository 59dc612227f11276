/** `kiln build`: evaluate, send what the store lacks, realise, show it, print the output paths. */
import type { SandboxMode } from "../../server/options.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { DryRunFlags } from "../building/dry-run.ts";
import { Run } from "../building/run.ts";
import type { CommandContext } from "../context.ts";
import { requireFolder } from "../files.ts";
import type { LimitFlags } from "../limits.ts";
import type { GlobalFlags } from "../settings.ts";
import { type EvaluationFlags, readOperands } from "../wanted.ts";

export interface BuildFlags extends EvaluationFlags, LimitFlags, DryRunFlags {
  readonly keepFailed?: boolean;
  readonly keepGoing?: boolean;
  readonly clean?: boolean;
  readonly jobs?: number;
  readonly sandbox?: SandboxMode;
  readonly outLink?: string;
  readonly dryRun?: boolean;
  readonly watch?: boolean;
  readonly detach?: boolean;
}

export async function build(
  operands: readonly string[],
  flags: BuildFlags & GlobalFlags,
  outer: CommandContext,
): Promise<number> {
  const context = flags.quiet === true ? { ...outer, note: () => undefined } : outer;
  const named = readOperands(operands, flags); // what cannot be understood is said before anything is begun
  refuseConflicts(flags);
  requireFolder("--trace", flags.trace);
  requireFolder("--out-link", flags.outLink);
  if (flags.watch === true) {
    const { watchBuilds } = await import("../building/watch.ts");
    return await watchBuilds(operands, named, {
      makeRun: (evaluated) => new Run(flags, context, evaluated),
      context,
    });
  }
  const run = new Run(flags, context);
  using _handling = context.interrupts.handle((signal) => run.interrupt(signal));
  return await run.toEnd(operands);
}

/** Flags that cannot be together, and why. */
const conflicts: readonly (readonly [keyof BuildFlags, keyof BuildFlags, string])[] = [
  ["check", "watch", "--check builds once more, and only once"],
  ["dryRun", "watch", "--dry-run builds nothing"],
  ["dryRun", "detach", "--dry-run builds nothing"],
  ["dryRun", "trace", "--dry-run builds nothing"],
  ["detach", "watch", "--detach does not wait for the build"],
  ["detach", "check", "--detach does not wait for the build"],
  ["detach", "why", "--detach does not wait for the build"],
  ["detach", "trace", "--detach does not wait for the build: give --trace to kiln attach"],
  ["detach", "outLink", "--detach does not wait for the build"],
];

function refuseConflicts(flags: BuildFlags): void {
  const isSet = (flag: keyof BuildFlags): boolean =>
    flags[flag] !== undefined && flags[flag] !== false;
  for (const [one, other, why] of conflicts) {
    if (!isSet(one) || !isSet(other)) continue;
    const both = [one, other].map(
      (flag) => `--${flag.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`,
    );
    throw new KilnError("usage.conflict", `${both.join(" and ")} do not go together: ${why}`);
  }
}
