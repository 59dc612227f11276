/** `kiln ps`: the builds of the daemon. */
import { stripVTControlCharacters } from "node:util";
import { buildStateOf } from "../../build/events.ts";
import type { StoreClient } from "../../rpc/client.ts";
import { makeStyle, type Style, wantsAscii, wantsColour } from "../progress/style.ts";
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { recentBuilds } from "../builds.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { duration, list, shortID } from "../text.ts";
import type { BuildSummaryMessage } from "../../rpc/protocol.ts";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
import { printable } from "../../util/printable.ts";

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
  await using connection = await openStore(settingsFrom(flags, context.env), context, wishes).catch(
    hintAtEnded(context),
  );
  if (connection.hello === undefined) {
    throw new KilnError("daemon.foreign", "the daemon is zb's, which does not list builds");
  }
  const wanted = { limit: limit + 1, running: !all };
  const found = await recentBuilds(connection.client, wanted);
  const builds = found.slice(0, limit);
  if (builds.length === 0 && !json) {
    context.note(
      all ? "nothing was built yet" : `nothing runs; ${context.kiln("ps -a")} shows what ran`,
    );
    return;
  }
  if (json) for (const build of builds) say(JSON.stringify(build));
  else {
    const { env } = context;
    const colour = wantsColour("auto", env, process.stdout.isTTY);
    const style = makeStyle({ colour, ascii: wantsAscii(env) });
    const now = Date.now();
    const running = await whatRuns(connection.client, builds, now);
    for (const line of table(builds, { now, style, running })) say(style.line(line));
  }
  if (found.length > limit && flags.limit === undefined && !json) {
    context.note(`these are the last ${limit}: -n ${limit * 4} shows more`);
  }
}

/** Without a daemon nothing is known to run; what ran can be told. */
function hintAtEnded({ kiln }: CommandContext): (error: unknown) => never {
  return (error) => {
    if (!hasCode(error, "socket.refused")) throw error;
    throw new KilnError(error.code, error.message, {
      hint: `${kiln("ps -a")} for what ran, or ${error.hint ?? ""}`,
      cause: error,
    });
  };
}

/** What each build that has not ended is busy with: `app 49s, docs 6s`. */
async function whatRuns(
  client: StoreClient,
  builds: readonly BuildSummaryMessage[],
  now: number,
): Promise<ReadonlyMap<string, string>> {
  const running = new Map<string, string>();
  for (const { id, endedAt } of builds) {
    if (endedAt !== null) continue;
    const { results } = await client.call("kiln.results", { buildID: id });
    const names = results
      .filter(({ state }) => state === "running" || state === "substituting")
      .map(({ name, startedAt }) =>
        startedAt === null ? name : `${name} ${duration(now - Date.parse(startedAt))}`,
      );
    running.set(id, list(names, 3));
  }
  return running;
}

/** The builds as a table, newest first, with a head. */
export function table(
  builds: readonly BuildSummaryMessage[],
  options: {
    readonly now: number;
    readonly style: Style;
    /** What the builds that run are busy with, by id. */
    readonly running: ReadonlyMap<string, string>;
  },
): string[] {
  const { now, style, running } = options;
  const rows = builds.map((build) => {
    const end = build.endedAt === null ? now : Date.parse(build.endedAt);
    const total = Object.values(build.counts).reduce((sum, count) => sum + count, 0);
    const open = ["waiting", "running", "substituting", "skipped"].reduce(
      (sum, state) => sum + (build.counts[state] ?? 0),
      0,
    );
    return [
      shortID(build.id),
      `${style.shape(buildStateOf(build.state))} ${build.state}`,
      `${total - open}/${total}`,
      duration(end - Date.parse(build.startedAt)),
      build.user ?? "-",
      list(
        build.targets.map(({ name }) => printable(name)),
        3,
      ),
      running.get(build.id) ?? "",
    ];
  });
  const head = ["BUILD", "STATE", "DONE", "TIME", "USER", "TARGETS"];
  if (running.size > 0) head.push("NOW");
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => shownWidth(row[column] ?? ""))),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - shownWidth(cell)))
      .join("  ")
      .trimEnd(),
  );
}

/** Columns of a cell; colours take none. */
function shownWidth(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
