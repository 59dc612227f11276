/** What people are shown of the log of a failure: its last lines, and before them the line that looks like the cause. */
import { lastLines } from "./build-log.ts";
import type { LogEnd } from "./events.ts";
import { likelyCause } from "./likely-cause.ts";
import { LogLines } from "./log-lines.ts";

const shownLines = 20;

/** `own`: the lines that Kiln has added to the end of the log at `path`; people are told otherwise. A log that cannot be read has no end. */
export async function logEnd(path: string, own: readonly string[]): Promise<LogEnd> {
  try {
    const lines = await lastLines(path, shownLines + own.length);
    const written = withoutOwn(lines, own);
    const shown = written.slice(-shownLines);
    await using log = await LogLines.open(path);
    const cause = await likelyCause(log);
    const [line] = cause?.lines ?? [];
    const before = (await log.count()) - (lines.length - written.length) - shown.length;
    if (cause?.isError !== true || line === undefined || line.number > before) {
      return { lastLines: shown };
    }
    return { cause: line, lastLines: shown };
  } catch {
    return { lastLines: [] };
  }
}

/** What a builder wrote, without what Kiln added; a last line without an end has that behind it. */
function withoutOwn(lines: readonly string[], own: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const added = own.find((text) => line.endsWith(text));
    if (added === undefined) return [line];
    return line === added ? [] : [line.slice(0, -added.length)];
  });
}
