/** `kiln log`: what a builder wrote. */
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { findResult, type FoundResult } from "../builds.ts";
import { harmless, LineReader } from "../progress/terminal-text.ts";
import { wantsColour } from "../progress/style.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { duration, shortID } from "../text.ts";
import type { StoreClient } from "../../rpc/client.ts";
import { KilnError } from "../../util/kiln-error.ts";

export interface LogFlags {
  readonly follow?: boolean;
  readonly raw?: boolean;
  readonly json?: boolean;
}

export async function log(
  operands: readonly string[],
  flags: LogFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const [first = "", second] = operands;
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  if (connection.hello === undefined) {
    throw new KilnError("daemon.foreign", "the daemon is zb's, which does not list builds");
  }
  const { client } = connection;
  const found = await findResult(client, second === undefined ? [first] : [first, second]);
  const { build, result } = found;
  const running = result.status === "active";
  if (result.logSize === 0 && !running) {
    if (result.state === "reused") throw noLogHere(found);
    context.note(`the builder of ${result.name} wrote nothing`);
    return;
  }
  if (running && flags.follow === true) {
    const since = result.startedAt === null ? 0 : Date.now() - Date.parse(result.startedAt);
    context.note(
      `${result.name} in build ${shortID(build.id)}, running for ${duration(since)}; Ctrl-C stops following only`,
    );
  }
  const writer = flags.json === true ? jsonWriter(found) : makeWriter(flags, context);
  await copyLog(client, found, flags.follow === true ? undefined : result.logSize, writer);
  writer.end();
  if (running && flags.follow === true) {
    const now = await findResult(client, [build.id, result.drvPath]);
    const took = now.result.durationMs === null ? "" : ` in ${duration(now.result.durationMs)}`;
    context.note(`${result.name} ${now.result.state}${took}`);
  }
}

function noLogHere({ build, result }: FoundResult): KilnError {
  const what = `${result.name} was reused in build ${shortID(build.id)}: it has no log there`;
  return new KilnError("log.absent", what, {
    hint: "the log is with the build that made it: kiln ps -a",
  });
}

interface LogWriter {
  write(bytes: Buffer): void;
  end(): void;
}

/** Bytes as they are for files and pipes; for a terminal, lines that cannot do harm. */
function makeWriter(flags: LogFlags, context: CommandContext): LogWriter {
  const { stdout } = process;
  if (!stdout.isTTY || flags.raw === true)
    return { write: (bytes) => stdout.write(bytes), end: () => {} };
  const colour = wantsColour("auto", context.env, true);
  const lines = new LineReader();
  const show = (line: string): boolean => stdout.write(`${harmless(line, { colour })}\n`);
  return {
    write: (bytes) => lines.push(bytes).forEach(show),
    end: () => lines.end().forEach(show),
  };
}

/** Each line as an object that says whose it is and which one; what is not UTF-8 becomes U+FFFD. */
function jsonWriter({ build, result }: FoundResult): LogWriter {
  const lines = new LineReader();
  let line = 0;
  const show = (text: string): void => {
    line++;
    say(JSON.stringify({ buildID: build.id, drvPath: result.drvPath, line, text }));
  };
  return {
    write: (bytes) => lines.push(bytes).forEach(show),
    end: () => lines.end().forEach(show),
  };
}

/** Reads to the end, or to `size` bytes. */
async function copyLog(
  client: StoreClient,
  { build, result }: FoundResult,
  size: number | undefined,
  writer: LogWriter,
): Promise<void> {
  const range = size === undefined ? {} : { rangeEnd: size };
  const what = { buildID: build.id, drvPath: result.drvPath, ...range };
  for (let at = 0, end = size === 0; !end;) {
    const { text, base64, eof } = await client.call("zb.readLog", { ...what, rangeStart: at });
    const bytes = text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text);
    writer.write(bytes);
    at += bytes.length;
    end = eof || at === size || (bytes.length === 0 && size !== undefined);
  }
}
