import { eventMethod } from "../../rpc/protocol.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { Handler } from "../context.ts";

/** Sends the events of a build as notifications, and answers when it has ended. */
export const kilnWatch: Handler<"kiln.watch"> = async ({ buildID, after = 0 }, context) => {
  const { builds, connection, id, signal } = context;
  if (connection.notify === undefined) {
    throw new KilnError("watch.nowhere", "nobody could be told of events on this connection");
  }
  for await (const event of builds.watch(buildID, after, signal)) {
    await connection.notify(eventMethod, { watch: id ?? null, event });
  }
  return null;
};
