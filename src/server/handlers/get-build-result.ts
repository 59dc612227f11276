import type { Handler } from "../context.ts";

/** How one derivation of a build is doing; `unknown` when it was not reached. */
export const getBuildResult: Handler<"zb.getBuildResult"> = async (
  { buildID, drvPath },
  { builds },
) => builds.result(buildID, drvPath);
