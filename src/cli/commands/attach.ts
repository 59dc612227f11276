/** `kiln attach`: watches a build of the daemon, one that runs or one that has ended. */
import { oneBuild, recentBuilds } from "../builds.ts";
import { type ProgressFlags, ShownBuild } from "../building/shown-build.ts";
import { kilnOnly, openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { requireFolder } from "../files.ts";
import { exitCodeOfSignal } from "../interrupts.ts";
import type { BuildSummaryMessage } from "../../rpc/protocol.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { list, shortID } from "../text.ts";

/** Ends as the build did; an interruption ends the watching alone. */
export async function attach(
  operands: readonly string[],
  flags: ProgressFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  requireFolder("--trace", flags.trace);
  const settings = settingsFrom(flags, context.env);
  await using connection = await openStore(settings, context, { daemonOnly: true });
  kilnOnly(connection, "list builds");
  const build = chosen(await recentBuilds(connection.client), operands[0], context);
  const stopped = Promise.withResolvers<never>();
  using shown = await ShownBuild.open(flags, connection, context);
  using _handling = context.interrupts.handle((signal) => {
    if (build.endedAt === null && flags.quiet !== true) {
      shown.note(
        `build ${shortID(build.id)} goes on; ${context.kiln(`cancel ${shortID(build.id)}`)} ends it`,
      );
    }
    stopped.reject(new ExitWith(exitCodeOfSignal(signal)));
  });
  const { id, targets } = build;
  const followed = shown.follow({ id, targets, storeDir: settings.directory });
  await Promise.race([followed, stopped.promise]);
  await shown.writeTrace();
  if (flags.json !== true) for (const path of shown.view.paths) say(path);
  return shown.succeeded ? 0 : 1;
}

/** The build that is meant; when none is named, the only one that runs. */
function chosen(
  builds: readonly BuildSummaryMessage[],
  word: string | undefined,
  context: CommandContext,
): BuildSummaryMessage {
  if (word !== undefined) return oneBuild(builds, word, context);
  const running = builds.filter(({ endedAt }) => endedAt === null);
  const [only, ...more] = running;
  if (only === undefined)
    throw new KilnError("build.unknown", "no build runs", { hint: context.kiln("ps -a") });
  if (more.length === 0) return only;
  throw new KilnError("build.ambiguous", `${running.length} builds run`, {
    hint: `${context.kiln("attach ID")}, one of ${list(running.map(({ id }) => shortID(id)))}`,
  });
}
