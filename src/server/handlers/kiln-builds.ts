import type { Handler } from "../context.ts";

/** The most that one answer lists. */
const most = 1000;

/** The builds that ended last, or began last while they run, newest first. */
export const kilnBuilds: Handler<"kiln.builds"> = async (
  { limit = 25, running = false },
  { builds },
) => ({
  builds: builds.summaries(Math.min(limit, most), running ? ["running"] : []),
});
