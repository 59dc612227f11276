/** `kiln cancel`: ends running builds; exit code 1 when one had ended already. */
import { oneBuild, recentBuilds } from "../builds.ts";
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { shortID } from "../text.ts";

export interface CancelFlags {
  readonly json?: boolean;
}

export async function cancel(
  operands: readonly string[],
  flags: CancelFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const settings = settingsFrom(flags, context.env);
  await using connection = await openStore(settings, context, { daemonOnly: true });
  const { client } = connection;
  const known = connection.hello === undefined ? [] : await recentBuilds(client);
  // zb's daemon does not list its builds: there an id has to be whole.
  const builds = operands.map((word) =>
    connection.hello === undefined
      ? { id: word, endedAt: null, state: "" }
      : oneBuild(known, word, context),
  );
  for (const { id: buildID, endedAt, state } of builds) {
    if (endedAt !== null) {
      if (flags.json === true) say(JSON.stringify({ ended: buildID, state }));
      else context.note(`build ${shortID(buildID)} has ended already: ${state}`);
      continue;
    }
    await client.call("zb.cancelBuild", { buildID });
    if (flags.json === true) say(JSON.stringify({ cancelling: buildID }));
    else context.note(`cancelling ${shortID(buildID)}`);
  }
  return builds.some(({ endedAt }) => endedAt !== null) ? 1 : 0;
}
