/** `kiln cancel`: ends running builds. */
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
): Promise<void> {
  const settings = settingsFrom(flags, context.env);
  await using connection = await openStore(settings, context, { daemonOnly: true });
  const { client } = connection;
  const known = connection.hello === undefined ? [] : await recentBuilds(client);
  // zb's daemon does not list its builds: there an id has to be whole.
  const ids = operands.map((word) =>
    connection.hello === undefined ? word : oneBuild(known, word, context).id,
  );
  for (const buildID of ids) {
    await client.call("zb.cancelBuild", { buildID });
    if (flags.json === true) say(JSON.stringify({ cancelling: buildID }));
    else context.note(`cancelling ${shortID(buildID)}`);
  }
}
