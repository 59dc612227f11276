/** What a plan comes to, before anything of it is done: what is reused, fetched and built, why, and about how long that takes. */
import type { StorePath } from "../format/store-path.ts";
import type { Action, PlanCounts, Reason } from "./events.ts";
import type { Plan, PlannedDerivation } from "./plan.ts";

/** One derivation of a forecast. */
export interface ForecastResult {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly action: Action;
  /** Derivations it takes outputs of. */
  readonly inputs: readonly StorePath[];
  /** Null for what is reused. */
  readonly reason: Reason | null;
  /** Null when it was never built before. */
  readonly estimateMs: number | null;
}

export interface Forecast {
  readonly counts: PlanCounts;
  /** Bytes to fetch. */
  readonly downloadSize: number;
  /** Null when something was never built before. */
  readonly estimateMs: number | null;
  /** In the order of the plan, inputs first. */
  readonly results: readonly ForecastResult[];
}

export interface Forecaster {
  /** How long a derivation of this name usually takes, in milliseconds. */
  estimate(name: string): number | null;
  /** Why something is to be built. */
  reasonFor(planned: PlannedDerivation): Reason | null;
  /** Builders at the same time. */
  readonly jobs: number;
}

export function forecastOf(plan: Plan, forecaster: Forecaster): Forecast {
  const counts = { reuse: 0, substitute: 0, build: 0 };
  const estimates = new Map<StorePath, number | null>();
  const results: ForecastResult[] = [];
  for (const [drvPath, planned] of plan) {
    const action = actionOf(planned);
    if (action === undefined) continue;
    counts[action]++;
    const { name, inputDerivations } = planned.node.derivation;
    const isBuilt = action === "build";
    const estimateMs = isBuilt ? forecaster.estimate(name) : null;
    if (isBuilt) estimates.set(drvPath, estimateMs);
    const reason = isBuilt ? forecaster.reasonFor(planned) : null;
    results.push({
      drvPath,
      name,
      action,
      inputs: [...inputDerivations.keys()],
      reason,
      estimateMs,
    });
  }
  const estimateMs = estimateAll(plan, estimates, forecaster.jobs);
  return { counts, downloadSize: 0, estimateMs, results };
}

/** What people are told of a plan; nothing of what is neither needed nor there, and of what is over. */
export function actionOf({ action, isPresent }: PlannedDerivation): "reuse" | "build" | undefined {
  if (action === "done") return undefined;
  if (action === "none") return isPresent ? "reuse" : undefined;
  return action;
}

/**
 * About how long a plan takes: the longest chain, or all work spread over the places, whichever is longer. Null when something was
 * never built before.
 */
function estimateAll(
  plan: Plan,
  estimates: ReadonlyMap<StorePath, number | null>,
  places: number,
): number | null {
  const ends = new Map<StorePath, number>();
  let sum = 0;
  let longest = 0;
  for (const [drvPath, { waitsFor }] of plan) {
    const own = estimates.get(drvPath) ?? (estimates.has(drvPath) ? undefined : 0);
    if (own === undefined) return null;
    const start = Math.max(0, ...Array.from(waitsFor, (input) => ends.get(input) ?? 0));
    ends.set(drvPath, start + own);
    sum += own;
    longest = Math.max(longest, start + own);
  }
  return Math.round(Math.max(longest, sum / places));
}
