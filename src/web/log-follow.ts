/** A log that grows, told as it does. */
import { setTimeout as delay } from "node:timers/promises";
import { Buffer } from "node:buffer";
import type { LogFile } from "../build/records.ts";
import type { LogGrownMessage } from "./api/messages.ts";
import type { ServerSentEvent } from "./event-stream.ts";
import { countLineEnds, LogLines } from "../build/log-lines.ts";

/** Milliseconds between two messages. */
const pace = 50;

/** More new bytes than this are not told: who shows the end asks for its lines. */
const mostText = 64 * 1024;

/**
 * Tells what is added to a log after byte `from` (default: its present end), first of all where it stands. The id of a message is the
 * byte up to which it has told; it ends with the log.
 */
export async function* followLog(
  log: LogFile,
  from: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let { at, line, endsLine, count } = await present(log, from);
  yield event({ from: at, size: at, lines: count, finished: false, text: null, line });
  for (;;) {
    await log.beyond(at, signal);
    const isFinished = log.isFinished();
    await using lines = await LogLines.open(log.path);
    const added = await readAdded(lines, at, isFinished);
    endsLine = added.endsLine ?? endsLine;
    count = line + added.lineEnds - (endsLine ? 1 : 0);
    if (added.to > at || isFinished) {
      const { to, text } = added;
      yield event({ from: at, size: to, lines: count, finished: isFinished, text, line });
    }
    line += added.lineEnds;
    at = added.to;
    if (isFinished) return;
    await delay(pace, undefined, { signal });
  }
}

/** What there is after byte `at`. */
async function readAdded(
  lines: LogLines,
  at: number,
  isFinished: boolean,
): Promise<{
  readonly to: number;
  readonly text: string | null;
  readonly lineEnds: number;
  /** Undefined when there is nothing new. */
  readonly endsLine: boolean | undefined;
}> {
  const isShort = lines.size - at <= mostText;
  const kept: Buffer[] = [];
  let lineEnds = 0;
  let endsLine: boolean | undefined;
  for await (const chunk of lines.chunks(at, lines.size)) {
    lineEnds += countLineEnds(chunk);
    endsLine = chunk.at(-1) === 10;
    if (isShort) kept.push(chunk);
  }
  const bytes = Buffer.concat(kept);
  // A character that is not whole yet is told with its rest.
  const cut = isFinished ? 0 : unfinishedBytes(bytes);
  const text = isShort ? bytes.subarray(0, bytes.length - cut).toString("utf8") : null;
  return { to: Math.max(at, lines.size - cut), text, lineEnds, endsLine };
}

/** Where the telling begins: a byte, the line it is in, how many lines there are, and whether the last one has its end. */
async function present(
  log: LogFile,
  from: number | undefined,
): Promise<{ at: number; line: number; count: number; endsLine: boolean }> {
  await using lines = await LogLines.open(log.path);
  const at = Math.min(from ?? lines.size, lines.size);
  const [line, count] = [await lines.lineAt(at), await lines.count()];
  return { at, line, count, endsLine: count < (await lines.lineAt(lines.size)) };
}

function event(message: LogGrownMessage): ServerSentEvent {
  return { event: "grown", id: message.size, data: message };
}

/** How many bytes at the end are the beginning of a character in UTF-8. */
export function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}
