import { nameOf } from "../access.ts";
import type { Connection, Handler } from "../context.ts";

/** Ends a build; nothing happens when it is not running, or when it is somebody else's and the caller is not trusted. */
export const cancelBuild: Handler<"zb.cancelBuild"> = async ({ buildID }, context) => {
  const { builds, connection, log } = context;
  const running = builds.running(buildID);
  if (running === undefined) return null;
  const who = nameOf(connection.caller);
  if (isOwn(buildID, running.user, connection)) builds.cancel(buildID, who);
  else log("warn", `${who ?? "a client"} may not cancel build ${buildID}: it is another's`);
  return null;
};

/** Where the system does not tell who somebody is, theirs are the builds of their connection. */
function isOwn(buildID: string, owner: string | undefined, connection: Connection): boolean {
  const { caller, builds } = connection;
  const who = nameOf(caller);
  return caller.role === "trusted" || builds.has(buildID) || (who !== undefined && owner === who);
}
