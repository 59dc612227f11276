/** `kiln store verify`: are the objects what was registered? */
import { printable } from "../../util/printable.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { kilnOnly, openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ProgressLine } from "../progress-line.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { shellWord } from "../typed.ts";
import { objectsMeant } from "../store-objects.ts";
import { count, number, size } from "../text.ts";
import type { DamageMessage } from "../../rpc/protocol.ts";

export interface VerifyFlags {
  readonly before?: number;
  readonly contents?: boolean;
  readonly db?: string;
  readonly json?: boolean;
  readonly repair?: boolean;
}

/** Exit code 1 when something is damaged (and stays so). */
export async function storeVerify(
  operands: readonly string[],
  flags: VerifyFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const { contents = false, repair = false, json = false } = flags;
  const began = new Date();
  const stopped = new AbortController();
  /** This command on the same objects, with other flags. */
  const again = (how: string): string => {
    const database = flags.db === undefined ? [] : ["--db", flags.db];
    const words = [...operands, ...database].map(shellWord);
    return context.kiln(["store verify", how, ...words].join(" "));
  };
  const before = new Date(flags.before ?? began).toISOString();
  const rest = contents ? `; go on with: ${again(`--contents --before ${before}`)}` : "";
  using _handling = context.interrupts.handle((signal) =>
    stopped.abort(new KilnError("verify.stopped", `stopped by ${signal}${rest}`)),
  );
  await using connection = await openStore(settingsFrom(flags, context.env), context, {
    database: flags.db,
    signal: stopped.signal,
  });
  kilnOnly(connection, "verify objects");
  const paths =
    operands.length === 0
      ? undefined
      : objectsMeant(connection, connection.settings.directory, operands);
  using progress = new ProgressLine(context);
  const found = await connection.client.callWithProgress(
    "kiln.verify",
    { paths, contents, repair, before: flags.before },
    ({ done, total, bytes }) =>
      progress.show(
        () => `looked at ${number(done)} of ${count(total, "object")}, read ${size(bytes)}`,
      ),
    { signal: stopped.signal },
  );
  progress[Symbol.dispose]();
  const { checked, bytes, damaged, foreign } = found;
  const bad = damaged.filter((damage) => damage.repair !== "repaired");
  if (json) {
    say(JSON.stringify(found));
    return bad.length === 0 ? 0 : 1;
  }
  for (const damage of damaged) say(lineOf(damage));
  if (foreign.length > 0) {
    context.note(
      `${count(foreign.length, "name")} in the store directory that are no objects, left alone: ${foreign.slice(0, 5).map(printable).join(", ")}${foreign.length > 5 ? ", …" : ""}`,
    );
  }
  const read = bytes === 0 ? "" : `, read ${size(bytes)}`;
  const sum = damaged.length === 0 ? "all right" : `${number(damaged.length)} damaged`;
  const mended = damaged.length - bad.length;
  context.note(
    `looked at ${count(checked, "object")}${read}: ${sum}${mended > 0 ? `, ${number(mended)} repaired` : ""}`,
  );
  if (bad.length > 0 && !repair) context.note(`${again("--repair")} mends what it can`);
  return bad.length === 0 ? 0 : 1;
}

function lineOf({ path, kind, message, repair, failure }: DamageMessage): string {
  const outcome =
    repair === null
      ? ""
      : repair === "repaired"
        ? "; repaired"
        : `; ${repair === "quarantined" ? "put aside, " : ""}not repaired: ${failure ?? "nothing makes it again"}`;
  return `${path}: ${kind}: ${message}${outcome}`;
}
