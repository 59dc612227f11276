import type { Handler } from "../context.ts";

/** All that is known of the results of a build. */
export const kilnResults: Handler<"kiln.results"> = async ({ buildID }, { builds }) => ({
  results: builds.results(buildID),
});
