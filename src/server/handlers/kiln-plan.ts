import { reuseOf } from "../../rpc/protocol.ts";
import type { Handler } from "../context.ts";
import { derivationsOfStore } from "./store-paths.ts";

/** What a build would do; of what it would reuse, only how much. */
export const kilnPlan: Handler<"kiln.plan"> = async (params, { store, builds, signal }) => {
  const { check = false } = params;
  const drvPaths = derivationsOfStore(store, params.drvPath);
  const forecast = await builds.forecast({ drvPaths, check, reuse: reuseOf(params) }, signal);
  return { ...forecast, results: forecast.results.filter(({ action }) => action !== "reuse") };
};
