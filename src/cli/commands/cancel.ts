/** `kiln cancel`: ends running builds. */
import { oneBuild, recentBuilds } from "../builds.ts";
import { openStore } from "../connection.ts";
import type { CommandContext } from "../context.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { shortID } from "../text.ts";

export async function cancel(
  operands: readonly string[],
  flags: GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const settings = settingsFrom(flags, context.env);
  await using connection = await openStore(settings, context, { daemonOnly: true });
  const { client } = connection;
  const known = connection.hello === undefined ? [] : await recentBuilds(client);
  // zb's daemon does not list its builds: there an id has to be whole.
  const ids = operands.map((word) =>
    connection.hello === undefined ? word : oneBuild(known, word).id,
  );
  for (const buildID of ids) {
    await client.call("zb.cancelBuild", { buildID });
    context.note(`cancelling ${shortID(buildID)}`);
  }
}
