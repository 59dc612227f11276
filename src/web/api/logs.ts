/** Routes about what builders write. */
import { existsSync } from "node:fs";
import { z } from "zod";
import type { StorePath } from "../../format/store-path.ts";
import type { Server } from "../../server/server.ts";
import type { ResultRow } from "../../store/database/builds.ts";
import { hasCode } from "../../util/kiln-error.ts";
import { likelyCause } from "../../build/likely-cause.ts";
import { followLog } from "../log-follow.ts";
import { LogLines } from "../../build/log-lines.ts";
import { searchLog } from "../log-search.ts";
import { rawLog } from "../raw-log.ts";
import type { LogInfoMessage } from "./messages.ts";
import { flag, resultShape } from "./params.ts";
import { bytes, events, get, type Route } from "./route.ts";
import * as schemas from "./schemas.ts";

export const logRoutes: readonly Route[] = [
  bytes({
    path: "/builds/{id}/log",
    summary: "A log as it is, with ranges; of a running builder it goes on until the end",
    params: z.object(resultShape),
    contentType: "text/plain",
    handle: ({ id, drvPath }, { server }, { range, signal }) =>
      rawLog(server.builds.records.logFile(id, drvPath), range, signal),
  }),
  get({
    path: "/builds/{id}/log/info",
    summary: "How much there is of a log, and a guess at why its builder failed",
    params: z.object(resultShape),
    result: schemas.logInfo,
    handle: async ({ id, drvPath }, { server }) => {
      const row = server.builds.records
        .inspect(id)
        ?.results.find((result) => result.drvPath === drvPath);
      return await logInfo(server, id, row ?? { drvPath, state: "running" });
    },
  }),
  get({
    path: "/builds/{id}/log/lines",
    summary: "Lines of a log by number",
    params: z.object({
      ...resultShape,
      from: z.coerce.number().int().min(1).default(1),
      count: z.coerce.number().int().min(1).max(2000).default(1000),
    }),
    result: schemas.logLines,
    handle: async ({ id, drvPath, from, count }, { server }) => {
      const log = server.builds.records.logFile(id, drvPath);
      await using lines = await LogLines.open(log.path);
      const read = await lines.read(from, count);
      return {
        lines: read.map(({ isCut, ...line }) => ({ ...line, cut: isCut })),
        total: await lines.count(),
        size: lines.size,
      };
    },
  }),
  get({
    path: "/builds/{id}/log/search",
    summary: "Finds text in a log, exactly counted",
    params: z.object({
      ...resultShape,
      q: z.string().min(1).max(1000),
      pattern: flag.default(false).describe("Whether `q` is a regular expression"),
      case: flag.default(false).describe("Whether capital letters matter"),
      from: z.coerce.number().int().min(1).default(1).describe("The first line that is told"),
      limit: z.coerce.number().int().min(0).max(20_000).default(5000),
    }),
    result: schemas.logSearch,
    handle: async (params, { server }, { signal }) => {
      const { id, drvPath, q, pattern, case: isCaseSensitive, from, limit } = params;
      const { path } = server.builds.records.logFile(id, drvPath);
      const task = { path, text: q, isPattern: pattern, isCaseSensitive, from, limit };
      return await searchLog(task, signal);
    },
  }),
  events({
    path: "/builds/{id}/log/events",
    summary: "Tells what is added to a log after byte `from`, by default its present end",
    params: z.object({ ...resultShape, from: z.coerce.number().int().min(0).optional() }),
    events: { grown: schemas.logGrown },
    handle: ({ id, drvPath, from }, { server }, { lastEventID }) => {
      const log = server.builds.records.logFile(id, drvPath);
      const last = Number(lastEventID ?? NaN);
      return (signal) => followLog(log, Number.isInteger(last) ? last : from, signal);
    },
  }),
];

/** What is to be known of a log before its lines. */
export async function logInfo(
  { builds }: Server,
  id: string,
  { drvPath, state }: Pick<ResultRow, "state"> & { readonly drvPath: StorePath },
): Promise<LogInfoMessage> {
  try {
    const log = builds.records.logFile(id, drvPath);
    await using lines = await LogLines.open(log.path);
    const isBad = ["failed", "error", "interrupted", "cancelled"].includes(state);
    return {
      size: lines.size,
      lines: await lines.count(),
      finished: log.isFinished(),
      present: existsSync(log.path),
      cause: isBad ? ((await likelyCause(lines)) ?? null) : null,
    };
  } catch (error) {
    // It was not begun.
    if (!hasCode(error, "log.unknown")) throw error;
    return { size: 0, lines: 0, finished: state !== "waiting", present: false, cause: null };
  }
}
