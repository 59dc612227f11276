import type { Handler } from "../context.ts";

/** Ends a build; nothing happens when it is not running. */
export const cancelBuild: Handler<"zb.cancelBuild"> = async ({ buildID }, context) => {
  context.builds.cancel(buildID, context.connection.user);
  return null;
};
