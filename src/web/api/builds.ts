/** Routes about builds. */
import { z } from "zod";
import type { StorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { LogReaders } from "../../server/log-readers.ts";
import type { WebContext } from "../context.ts";
import type { ServerSentEvent } from "../event-stream.ts";
import { buildMessage, detailMessage, resultMessages } from "../views.ts";
import { logInfo } from "./logs.ts";
import { buildID as id, resultShape } from "./params.ts";
import { events, get, post, type Route } from "./route.ts";
import * as schemas from "./schemas.ts";

const states = [
  "running",
  "built",
  "substituted",
  "reused",
  "failed",
  "error",
  "cancelled",
  "interrupted",
] as const;

export const buildRoutes: readonly Route[] = [
  get({
    path: "/builds",
    summary: "Builds, the latest first",
    params: z.object({
      state: z
        .string()
        .transform((text) => text.split(","))
        .pipe(z.array(z.enum(states)))
        .optional()
        .describe("One state, or several with commas"),
      user: z.string().optional(),
      q: z.string().optional().describe("Part of an id, of a target's name or its derivation"),
      before: id.optional().describe("Only builds that come after this one in the list"),
      limit: z.coerce.number().int().min(1).max(500).default(50),
    }),
    result: schemas.builds,
    handle: ({ state, user, q, before, limit }, { server, retention }) => {
      const { records } = server.builds;
      const found = records.search({ states: state, user, text: q, before, limit });
      return {
        builds: found.map(buildMessage),
        total: records.count(),
        retentionMs: retention ?? null,
      };
    },
  }),
  get({
    path: "/builds/running",
    summary: "What goes on now",
    params: z.object({}),
    result: schemas.running,
    handle: (_params, { activity }) => activity.running(),
  }),
  events({
    path: "/builds/events",
    summary: "What goes on, as it changes, and builds as they end",
    params: z.object({}),
    events: { running: schemas.running, finished: schemas.finished },
    handle: (_params, { activity }, { lastEventID }) => {
      const after = lastEventID === undefined ? undefined : Number(lastEventID);
      return (signal) => activity.follow(Number.isInteger(after) ? after : undefined, signal);
    },
  }),
  get({
    path: "/builds/{id}",
    summary: "All that is known of a build",
    params: z.object({ id }),
    result: schemas.buildDetail,
    handle: ({ id }, { server }) => {
      const inspected = server.builds.records.inspect(id);
      const found = server.builds.records.find(id);
      if (inspected === undefined || found === undefined) throw unknownBuild(id);
      return detailMessage(inspected, found, server);
    },
  }),
  get({
    path: "/builds/{id}/results",
    summary: "What became of each derivation",
    params: z.object({ id }),
    result: schemas.results,
    handle: ({ id }, { server }) => {
      const inspected = server.builds.records.inspect(id);
      if (inspected === undefined) throw unknownBuild(id);
      return { results: resultMessages(inspected.row, inspected.results, server) };
    },
  }),
  get({
    path: "/builds/{id}/result",
    summary: "What became of one derivation, with a guess at why it failed",
    params: z.object(resultShape),
    result: schemas.resultDetail,
    handle: async ({ id, drvPath }, { server }) => {
      const { records } = server.builds;
      const inspected = records.inspect(id);
      const found = records.find(id);
      const row = inspected?.results.find((result) => result.drvPath === drvPath);
      if (inspected === undefined || found === undefined) throw unknownBuild(id);
      if (row === undefined) {
        throw new KilnError("build.noResult", `build ${id} has no result for ${drvPath}`);
      }
      const [result] = resultMessages(inspected.row, [row], server);
      if (result === undefined) throw new Error("a result got lost");
      return { build: buildMessage(found), result, log: await logInfo(server, id, row) };
    },
  }),
  events({
    path: "/builds/{id}/events",
    summary: "What happens in a build, as `kiln build --json` tells it; ends with the build",
    params: z.object({
      id,
      after: z.coerce.number().int().min(0).default(0).describe("Number of an event"),
      logs: z
        .enum(["none", "tail", "all"])
        .default("none")
        .describe("Also what builders write: the newest lines now and then, or all"),
    }),
    events: { "": z.looseObject({ v: z.literal(1), seq: z.int(), type: z.string() }) },
    handle: ({ id, after, logs }, { server }, { lastEventID }) => {
      if (server.builds.records.inspect(id) === undefined) throw unknownBuild(id);
      const last = Number(lastEventID ?? after);
      return (signal) =>
        buildEvents(server, {
          id,
          after: Number.isInteger(last) ? last : after,
          logs: logs === "none" ? undefined : logs,
          signal,
        });
    },
  }),
  post({
    path: "/builds/{id}/cancel",
    summary: "End a build; nothing happens when it does not run",
    params: z.object({ id }),
    result: schemas.build,
    handle: async ({ id }, { server }) => {
      server.builds.cancel(id, "an administrator");
      await server.builds.ended(id);
      const found = server.builds.records.find(id);
      if (found === undefined) throw unknownBuild(id);
      return buildMessage(found);
    },
  }),
];

export function unknownBuild(id: string): KilnError {
  return new KilnError("build.unknown", `there is no build ${id}`);
}

/** The events of a build, with what its builders write between them. */
async function* buildEvents(
  { builds }: WebContext["server"],
  request: {
    readonly id: string;
    readonly after: number;
    readonly logs: "all" | "tail" | undefined;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const { id, after, logs, signal } = request;
  const queue = new Handover();
  let seq = after;
  const work = async (): Promise<void> => {
    await using readers = new LogReaders(builds, id, logs, async (body) => {
      const time = new Date().toISOString();
      await queue.put({ data: { v: 1, seq, time, buildID: id, type: "log", ...body } });
    });
    for (const drvPath of runningBefore(builds, id, after)) readers.begin(drvPath);
    for await (const event of builds.watch(id, after, signal)) {
      if (event.type === "result.started") readers.begin(event.drvPath);
      if (event.type === "result.finished") await readers.end(event.drvPath);
      seq = event.seq;
      await queue.put({ id: event.seq, data: event });
    }
    await queue.put({ event: "end", data: null });
  };
  const done = work().finally(() => queue.end());
  // Its failure is the end of the stream; the reader connects again and is told the rest.
  done.catch(() => undefined);
  try {
    yield* queue.items(signal);
  } finally {
    queue.end();
  }
}

/** Whose logs are to be read although their beginning is not told any more. */
function runningBefore(
  builds: WebContext["server"]["builds"],
  id: string,
  after: number,
): StorePath[] {
  if (after === 0) return [];
  const results = builds.records.inspect(id)?.results ?? [];
  return results.filter(({ state }) => state === "running").map(({ drvPath }) => drvPath);
}

/** Hands items from many writers to one reader; a writer waits until its item is taken. */
class Handover {
  readonly #items: { readonly item: ServerSentEvent; readonly taken: () => void }[] = [];
  #wake = Promise.withResolvers<void>();
  #isEnded = false;

  async put(item: ServerSentEvent): Promise<void> {
    if (this.#isEnded) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#items.push({ item, taken: resolve });
    this.#wake.resolve();
    await promise;
  }

  end(): void {
    this.#isEnded = true;
    for (const { taken } of this.#items) taken();
    this.#wake.resolve();
  }

  async *items(signal: AbortSignal): AsyncGenerator<ServerSentEvent, void, undefined> {
    for (;;) {
      const next = this.#items.shift();
      if (next !== undefined) {
        next.taken();
        yield next.item;
        continue;
      }
      if (this.#isEnded || signal.aborted) return;
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }
}
