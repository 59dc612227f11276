/** A builder's log as it is, with ranges: the whole of a finished one, or what there is of one that is being written. */
import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { statSync } from "node:fs";
import type { LogFile } from "../build/records.ts";
import type { BytesAnswer } from "./api/route.ts";
import { LogLines } from "./log-lines.ts";
import { answerRange } from "./range.ts";

const contentType = "text/plain";

/**
 * The answer to a request for a log. While it is being written, the answer goes on until it ends, with chunks and without a length.
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
  if (answer.type === "refused") {
    const more: Record<string, string> =
      answer.status === 416 ? { "content-range": `bytes */${isGrowing ? "*" : size}` } : {};
    return {
      status: answer.status,
      headers: { ...headers, ...more },
      body: `${answer.message}\n`,
    };
  }
  const { start, end } =
    answer.type === "whole" ? { start: 0, end: isGrowing ? undefined : size } : answer;
  const lengths: Record<string, string | number> =
    isGrowing || end === undefined ? {} : { "content-length": end - start };
  const part: Record<string, string> =
    answer.type === "whole"
      ? {}
      : {
          "content-range": `bytes ${start}-${end === undefined ? "" : end - 1}/${isGrowing ? "*" : size}`,
        };
  // What a range of a log that grows will hold is not known: the last byte cannot be named unless it was asked for.
  if (answer.type === "part" && end === undefined) delete part["content-range"];
  const status = answer.type === "whole" || end === undefined ? 200 : 206;
  const body =
    head || (end !== undefined && end <= start)
      ? Buffer.alloc(0)
      : Readable.from(bytesOf(log, start, end ?? Infinity, signal), { objectMode: false });
  return { status, headers: { ...headers, ...lengths, ...part }, body };
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
    if (isFinished && at === before) return;
  }
}
