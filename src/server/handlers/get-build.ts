import type { Handler } from "../context.ts";

/** How a build is doing; `unknown` when there is no such build. */
export const getBuild: Handler<"zb.getBuild"> = async ({ buildID }, { builds }) =>
  builds.build(buildID);
