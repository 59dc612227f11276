import { eventMethod } from "../../rpc/protocol.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { Handler } from "../context.ts";
import { LogReaders } from "../log-readers.ts";

/** Sends the events of a build as notifications, and answers when it has ended. */
export const kilnWatch: Handler<"kiln.watch"> = async ({ buildID, after = 0, logs }, context) => {
  const { builds, connection, id, signal } = context;
  const { notify } = connection;
  if (notify === undefined) {
    throw new KilnError("watch.nowhere", "nobody could be told of events on this connection");
  }
  let seq = after;
  const tell = async (event: object): Promise<void> => {
    await notify(eventMethod, { watch: id ?? null, event });
  };
  await using readers = new LogReaders(builds, buildID, logs, async (body) => {
    await tell({ v: 1, seq, time: new Date().toISOString(), buildID, type: "log", ...body });
  });
  for await (const event of builds.watch(buildID, after, signal)) {
    if (event.type === "result.started") readers.begin(event.drvPath);
    // A log is told whole before the end of its result.
    if (event.type === "result.finished") await readers.end(event.drvPath);
    seq = event.seq;
    await tell(event);
  }
  return null;
};
