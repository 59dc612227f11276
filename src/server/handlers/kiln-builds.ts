import type { Handler } from "../context.ts";

/** The builds that ended last, or began last while they run, newest first. */
export const kilnBuilds: Handler<"kiln.builds"> = async ({ limit = 25 }, { builds }) => ({
  builds: builds.summaries(limit),
});
