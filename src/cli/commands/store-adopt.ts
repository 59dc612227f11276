/** `kiln store adopt`: takes over what zb has in a store. */
import { statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { logPath } from "../../build/build-log.ts";
import { probeSocket } from "../../server/listener.ts";
import { takeOver, type TakeOverReport } from "../../store/adopt/take-over.ts";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
import { type CommandContext, say } from "../context.ts";
import { ProgressLine } from "../progress-line.ts";
import { type GlobalFlags, type Settings, settingsFrom } from "../settings.ts";
import { count, size } from "../text.ts";

export interface AdoptFlags {
  readonly zbDb?: string;
  readonly db?: string;
  readonly realStore?: string;
  readonly logDirectory?: string;
  readonly json?: boolean;
}

/** Exit code 1 when objects were left out, although the store is Kiln's then. */
export async function storeAdopt(
  _operands: readonly string[],
  flags: AdoptFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const { zbDb } = flags;
  if (zbDb === undefined || zbDb === "") {
    throw new KilnError("usage.flag", "which database of zb's?", {
      hint: "kiln store adopt --zb-db /opt/zb/var/zb/db.sqlite",
    });
  }
  const settings = settingsFrom(flags, context.env);
  const zbDatabase = resolve(zbDb);
  await refuseDaemon(settings, zbDatabase);
  const logDirectory = flags.logDirectory ?? settings.logDirectory;
  const stopped = new AbortController();
  using _handling = context.interrupts.handle((signal) =>
    stopped.abort(new KilnError("adopt.stopped", `stopped by ${signal}: nothing was adopted`)),
  );
  using progress = new ProgressLine(context);
  try {
    const report = await takeOver({
      directory: settings.directory,
      realDirectory: flags.realStore,
      database: flags.db,
      zbDatabase,
      signal: stopped.signal,
      onProgress: ({ objects, bytes, allObjects, allBytes }) =>
        progress.show(
          () =>
            `read ${objects} of ${count(allObjects, "object")}, ${size(bytes)} of ${size(allBytes)}`,
        ),
      logSize: (buildID, drvPath) =>
        statSync(logPath(logDirectory, buildID, drvPath), { throwIfNoEntry: false })?.size,
      log: (level, text) => {
        if (level !== "info" || settings.debug) context.note(`${level}: ${text}`);
      },
    });
    progress[Symbol.dispose]();
    tell(report, { json: flags.json ?? false, context, settings });
    return report.leftOut.length > 0 ? 1 : 0;
  } catch (error) {
    if (!hasCode(error, "zb.adopted")) throw error;
    context.note(`${zbDatabase} is Kiln's already: there is nothing to adopt`);
    if (flags.json === true) say(JSON.stringify({ database: zbDatabase, adopted: [] }));
    return 0;
  }
}

/** zb v0.1.0 leaves no sign of life but its socket. */
async function refuseDaemon(settings: Settings, zbDatabase: string): Promise<void> {
  for (const socket of new Set([settings.socket, join(dirname(zbDatabase), "server.sock")])) {
    if ((await probeSocket(socket)) !== "answers") continue;
    throw new KilnError("zb.running", `a daemon answers at ${socket}`, {
      kind: "internal",
      path: socket,
      hint: "stop zb serve first",
    });
  }
}

function tell(
  report: TakeOverReport,
  { json, context, settings }: { json: boolean; context: CommandContext; settings: Settings },
): void {
  const { adopted, bytes, present, mended, leftOut, realizations, builds, database } = report;
  if (mended.length > 0) {
    const objects = count(mended.length, "object");
    context.note(`mended ${objects}: zb had made files executable that links point to`);
  }
  for (const { path, message, code } of leftOut) {
    const why = message.startsWith(path) ? message : `${path}: ${message}`;
    context.note(`left out: ${why} [${code}]`);
  }
  if (report.droppedSignatures > 0) {
    context.note(`left out ${count(report.droppedSignatures, "signature")}: not valid`);
  }
  if (json) {
    say(JSON.stringify(report));
    return;
  }
  const before = present === 0 ? "" : ` (and had ${present} before)`;
  const parts = [
    `${count(adopted.length, "object")} of ${size(bytes)}${before}`,
    count(realizations, "realisation"),
    count(builds, "build"),
  ];
  say(`adopted ${parts.join(", ")}`);
  if (leftOut.length > 0) say(`left out ${count(leftOut.length, "object")}`);
  if (report.zbDatabase !== resolve(database)) say(`zb's database is kept: ${report.zbDatabase}`);
  const flag = database === settings.database ? "" : ` --db ${database}`;
  context.note(`kiln serve${flag} is ready to take zb's place`);
}
