/** `kiln ps`: the builds of the daemon. */
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { recentBuilds } from "../builds.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { duration, list, shortID } from "../text.ts";
import type { BuildSummaryMessage } from "../../rpc/protocol.ts";
import { KilnError } from "../../util/kiln-error.ts";

export interface PsFlags {
  readonly all?: boolean;
  readonly limit?: number;
  readonly json?: boolean;
}

export async function ps(
  _operands: readonly string[],
  flags: PsFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const { all = false, limit = 25, json = false } = flags;
  // Builds that have ended are remembered without a daemon, too.
  const wishes = { daemonOnly: !all };
  await using connection = await openStore(settingsFrom(flags, context.env), context, wishes);
  if (connection.hello === undefined) {
    throw new KilnError("daemon.foreign", "the daemon is zb's, which does not list builds");
  }
  const builds = (await recentBuilds(connection.client, limit)).filter(
    (build) => all || build.endedAt === null,
  );
  if (json) for (const build of builds) say(JSON.stringify(build));
  else for (const line of table(builds, Date.now())) say(line);
}

/** The builds as a table, newest first, with a head. */
export function table(builds: readonly BuildSummaryMessage[], now: number): string[] {
  const rows = builds.map((build) => {
    const end = build.endedAt === null ? now : Date.parse(build.endedAt);
    const total = Object.values(build.counts).reduce((sum, count) => sum + count, 0);
    const open = ["waiting", "running", "substituting"].reduce(
      (sum, state) => sum + (build.counts[state] ?? 0),
      0,
    );
    return [
      shortID(build.id),
      build.state,
      `${total - open}/${total}`,
      duration(end - Date.parse(build.startedAt)),
      build.user ?? "-",
      list(
        build.targets.map(({ name }) => name),
        3,
      ),
    ];
  });
  const head = ["BUILD", "STATE", "DONE", "TIME", "USER", "TARGETS"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
