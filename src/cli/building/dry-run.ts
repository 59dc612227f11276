/** `kiln build --dry-run`: what a build would do, and with `--why` for what reasons. */
import type { Reason } from "../../build/events.ts";
import type { WantedDerivation } from "../../author/evaluate.ts";
import type { PlanMessage, ReuseMessage } from "../../rpc/protocol.ts";
import { kilnOnly, type StoreConnection } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { whyLines } from "../progress/why.ts";
import { count, duration, listAndMore, size } from "../text.ts";
import { type ProgressFlags, styleFor } from "./shown-build.ts";

export interface DryRunFlags extends ProgressFlags {
  readonly check?: boolean;
  readonly why?: boolean;
}

/** At most this many names in a line; all of them with -v. */
const most = 12;

export async function dryRun(
  wanted: {
    readonly connection: StoreConnection;
    readonly targets: readonly WantedDerivation[];
    readonly reuse: ReuseMessage | null;
  },
  flags: DryRunFlags,
  context: CommandContext,
): Promise<void> {
  const { connection, targets, reuse } = wanted;
  kilnOnly(connection, "plan a build");
  const { check = false, json = false, verbose = false, why = false } = flags;
  const drvPath = targets.map((target) => target.drvPath);
  const plan = await connection.client.call("kiln.plan", { drvPath, reuse, check });
  if (json) {
    say(JSON.stringify(plan));
    return;
  }
  for (const line of planLines(plan, verbose ? Infinity : most)) say(line);
  if (why) {
    const made = new Map(
      plan.results.map((result) => [result.drvPath, { ...result, reason: reasonOf(result) }]),
    );
    const realDirectory = connection.hello?.realStoreDirectory;
    const style = styleFor(flags, context);
    for (const line of whyLines(targets, made, { style, realDirectory, now: Date.now() }))
      say(line);
  }
  context.note(summary(plan, connection));
}

/** What there is to do, a line for each kind of it. */
export function planLines(plan: PlanMessage, longest: number): string[] {
  const { counts, downloadSize, results } = plan;
  const names = (action: string): string[] =>
    results
      .filter((result) => result.action === action)
      .map(({ name, estimateMs }) =>
        estimateMs === null ? name : `${name} ~${duration(estimateMs)}`,
      );
  const more = downloadSize > 0 ? ` (${size(downloadSize)})` : "";
  return [
    counts.build > 0 ? `build        ${listAndMore(names("build"), longest)}` : "",
    counts.substitute > 0 ? `substitute   ${listAndMore(names("substitute"), longest)}${more}` : "",
    counts.reuse > 0 ? `reuse        ${count(counts.reuse, "derivation")}` : "",
  ].filter((line) => line !== "");
}

function summary(
  { counts, downloadSize, estimateMs }: PlanMessage,
  connection: StoreConnection,
): string {
  if (counts.build + counts.substitute === 0) return "nothing to build";
  const jobs = connection.hello?.jobs ?? 1;
  const time =
    estimateMs === null
      ? `${count(counts.build, "derivation")} to build`
      : `about ${duration(estimateMs)} with ${count(jobs, "job")}`;
  const fetched = downloadSize > 0 ? `, ${size(downloadSize)} to fetch` : "";
  return `${time}${fetched}; nothing was built`;
}

function reasonOf({ reason }: PlanMessage["results"][number]): Reason | null {
  return isReason(reason) ? reason : null;
}

/** The daemon's word for it: it is of this version, or says more. */
function isReason(
  reason: { readonly code: string; readonly detail?: unknown } | null,
): reason is Reason {
  return reason !== null;
}
