/** A builder's log as it is, with ranges: the whole of a finished one, or what there is of one that is being written. */
import { Readable } from "node:stream";
import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { LogFile } from "../build/records.ts";
import type { BytesAnswer } from "./api/route.ts";
import { LogLines } from "../build/log-lines.ts";
import { answerRange } from "./range.ts";

const contentType = "text/plain";

/**
 * The answer to a request for a log. While it is being written, the answer that is the whole of it goes on until it ends, with chunks and
 * without a length; a part is what there is of it now.
 *
 * @param range the header of the request
 * @param signal aborts when nobody listens any more
 */
export function rawLog(
  log: LogFile,
  range: string | undefined,
  signal: AbortSignal,
  head = false,
): BytesAnswer {
  const isGrowing = !log.isFinished();
  const size = statSync(log.path, { throwIfNoEntry: false })?.size ?? 0;
  const answer = answerRange(range, size, { isGrowing });
  const headers = { "content-type": contentType, "accept-ranges": "bytes" };
  // How long it will be is not known while it is being written.
  const total = isGrowing ? "*" : size;
  if (answer.type === "refused") {
    const more = answer.status === 416 ? { "content-range": `bytes */${total}` } : {};
    const body = `${answer.message}\n`;
    return { status: answer.status, headers: { ...headers, ...more }, body };
  }
  const isWhole = answer.type === "whole";
  const { start, end } = isWhole ? { start: 0, end: isGrowing ? Infinity : size } : answer;
  const length = end === Infinity ? {} : { "content-length": end - start };
  const part = isWhole ? {} : { "content-range": `bytes ${start}-${end - 1}/${total}` };
  const bytes = head || end <= start ? [] : bytesOf(log, start, end, signal);
  return {
    status: isWhole ? 200 : 206,
    headers: { ...headers, ...length, ...part },
    body: Readable.from(bytes, { objectMode: false }),
  };
}

async function* bytesOf(
  log: LogFile,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  for (let at = start; at < end;) {
    await log.beyond(at, signal);
    const isFinished = log.isFinished();
    await using lines = await LogLines.open(log.path);
    const before = at;
    for await (const chunk of lines.chunks(at, Math.min(end, lines.size))) {
      signal.throwIfAborted();
      at += chunk.length;
      yield chunk;
    }
    if (at > before) continue;
    if (isFinished) return;
    // Woken too early; or somebody has cut or removed the file, which must not keep us busy.
    await delay(100, undefined, { signal });
  }
}
