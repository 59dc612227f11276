/** `kiln log`: what a builder wrote. */
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { findResult, type FoundResult } from "../builds.ts";
import { harmless, LineReader } from "../progress/terminal-text.ts";
import { wantsColour } from "../progress/style.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { duration, shortID } from "../text.ts";
import type { StoreClient } from "../../rpc/client.ts";
import type { EventMessage } from "../../rpc/protocol.ts";
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
  let found = await findResult(client, second === undefined ? [first] : [first, second], context);
  if (found.result.state === "waiting") {
    if (flags.follow !== true) throw noLogYet(found, context);
    context.note(
      `${found.result.name} in build ${shortID(found.build.id)} waits; Ctrl-C stops following only`,
    );
    await begun(client, found);
    found = await findResult(client, [found.build.id, found.result.drvPath], context);
  }
  const { build, result } = found;
  if (result.state === "skipped") throw noLogHere(found, "skipped", context);
  const running = result.status === "active";
  if (result.logSize === 0 && !running) {
    if (result.state === "reused") throw noLogHere(found, "reused", context);
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
    const now = await findResult(client, [build.id, result.drvPath], context);
    const took = now.result.durationMs === null ? "" : ` in ${duration(now.result.durationMs)}`;
    context.note(`${result.name} ${now.result.state}${took}`);
  }
}

function noLogHere(
  { build, result }: FoundResult,
  how: "reused" | "skipped",
  { kiln }: CommandContext,
): KilnError {
  const what = `${result.name} was ${how} in build ${shortID(build.id)}: it has no log there`;
  return new KilnError("log.absent", what, {
    hint:
      how === "reused"
        ? `the log is with the build that made it: ${kiln("ps -a")}`
        : `what failed before has one: ${kiln(`log ${shortID(build.id)}`)}`,
  });
}

function noLogYet({ build, result }: FoundResult, { kiln }: CommandContext): KilnError {
  const what = `${result.name} waits in build ${shortID(build.id)}: it has no log yet`;
  return new KilnError("log.absent", what, {
    hint: kiln(`log -f ${shortID(build.id)} ${result.name}`),
  });
}

/** Resolves when the result does not wait any more. */
async function begun(client: StoreClient, { build, result }: FoundResult): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const tell = (event: EventMessage): void => {
    const isBegin = event.type === "result.started" || event.type === "result.finished";
    if (isBegin && "drvPath" in event && event.drvPath === result.drvPath) resolve();
  };
  client.watch(build.id, tell).then(resolve, reject);
  await promise;
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
