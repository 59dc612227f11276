/** `kiln gc`: removing what no root needs. */
import { KilnError } from "../../util/kiln-error.ts";
import { kilnOnly, openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ProgressLine } from "../progress-line.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { objectsMeant } from "../store-objects.ts";
import { count, number, size } from "../text.ts";

export interface GcFlags {
  readonly db?: string;
  readonly delete?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly keepFree?: number;
  readonly maxSize?: number;
  readonly olderThan?: number;
}

export async function gc(
  operands: readonly string[],
  flags: GcFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const { dryRun = false, json = false, keepFree, maxSize, olderThan } = flags;
  checkOperands(operands, flags.delete ?? false);
  const stopped = new AbortController();
  using _handling = context.interrupts.handle((signal) =>
    stopped.abort(
      new KilnError("gc.stopped", `stopped by ${signal}: what was removed before is gone`),
    ),
  );
  await using connection = await openStore(settingsFrom(flags, context.env), context, {
    database: flags.db,
    signal: stopped.signal,
  });
  kilnOnly(connection, "collect garbage");
  const paths =
    operands.length === 0
      ? undefined
      : objectsMeant(connection, connection.settings.directory, operands);
  using progress = new ProgressLine(context);
  const found = await connection.client.callWithProgress(
    "kiln.collect",
    { paths, olderThan, maxSize, keepFree, dryRun },
    ({ done, total, bytes }) =>
      progress.show(() => `removed ${number(done)} of ${count(total, "object")}, ${size(bytes)}`),
    { signal: stopped.signal },
  );
  progress[Symbol.dispose]();
  const { removed, left, recent } = found;
  if (json) {
    say(JSON.stringify({ dryRun, ...found }));
    return;
  }
  for (const { path } of removed) say(path);
  const did = dryRun ? "would remove" : "removed";
  context.note(
    `${did} ${count(found.count, "object")} of ${size(found.bytes)}; ${count(left.count, "object")} of ${size(left.bytes)} ${left.count === 1 ? "stays" : "stay"}`,
  );
  if (recent > 0 && found.count === 0 && olderThan === undefined) {
    context.note(
      `${count(recent, "object")} that no root needs were used lately: --older-than 0s takes them, too`,
    );
  }
}

function checkOperands(operands: readonly string[], isDelete: boolean): void {
  if (isDelete && operands.length === 0) {
    throw new KilnError("usage.operand", "which objects?", { hint: "kiln gc --delete PATH…" });
  }
  if (!isDelete && operands.length > 0) {
    throw new KilnError("usage.operand", `what is ${operands[0]} for?`, {
      hint: "kiln gc --delete PATH… removes only these",
    });
  }
}
