/** `kiln store path`: which object a path leads to, by its name or where it lies. */
import { join } from "node:path";
import { objectNameOf } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { objectsMeant } from "../store-objects.ts";

export interface PathFlags {
  readonly real?: boolean;
  readonly json?: boolean;
}

export async function storePath(
  operands: readonly string[],
  flags: PathFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const { client, hello, settings } = connection;
  const directory = hello?.realStoreDirectory ?? settings.realDirectory;
  for (const path of objectsMeant(connection, settings.directory, operands)) {
    if (!(await client.call("zb.exists", { path }))) {
      throw new KilnError("store.missing", `${path} is not in the store`, { path });
    }
    const realPath = join(directory, objectNameOf(path));
    if (flags.json === true) say(JSON.stringify({ path, realPath }));
    else say(flags.real === true ? realPath : path);
  }
}
