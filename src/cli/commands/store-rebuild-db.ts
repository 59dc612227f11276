/** `kiln store rebuild-db`: a new database for the objects that are there. */
import { parseStoreDirectory } from "../../format/store-path.ts";
import { rebuildDatabase } from "../../store/rebuild.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { type CommandContext, say } from "../context.ts";
import { storeMeant } from "../own-store.ts";
import { ProgressLine } from "../progress-line.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { count, number } from "../text.ts";

export interface RebuildFlags {
  readonly db?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly realStore?: string;
}

/** Exit code 1 when something in the store directory could not be told, although there is a database then. */
export async function storeRebuildDb(
  _operands: readonly string[],
  flags: RebuildFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const settings = await storeMeant(settingsFrom(flags, context.env), context.env, flags);
  const database = flags.db ?? settings.database;
  const stopped = new AbortController();
  using _handling = context.interrupts.handle((signal) =>
    stopped.abort(new KilnError("rebuild.stopped", `stopped by ${signal}: nothing was changed`)),
  );
  using progress = new ProgressLine(context);
  const rebuilt = await rebuildDatabase({
    directory: parseStoreDirectory(settings.directory),
    realDirectory: flags.realStore ?? settings.realDirectory,
    database,
    force: flags.force,
    signal: stopped.signal,
    onProgress: ({ done, total }) =>
      progress.show(() => `read ${number(done)} of ${count(total, "object")}`),
  });
  progress[Symbol.dispose]();
  const { objects, leftOut, old } = rebuilt;
  if (flags.json === true) say(JSON.stringify({ database, ...rebuilt }));
  else {
    for (const { name, message } of leftOut) context.note(`left out: ${name}: ${message}`);
    if (old !== undefined) context.note(`the old database is kept: ${old}`);
    say(`${database} knows ${count(objects, "object")}; builds, realisations and roots are lost`);
  }
  return leftOut.length === 0 ? 0 : 1;
}
