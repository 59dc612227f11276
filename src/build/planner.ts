import type { StorePath } from "../format/store-path.ts";
import { equivalenceClass } from "../store/database/realizations.ts";
import type { Choices } from "./choices.ts";
import type { Reason } from "./events.ts";
import type { DerivationGraph } from "./graph.ts";
import { makePlan, type Plan, type PlannedDerivation } from "./plan.ts";
import { reasonFor } from "./reasons.ts";
import type { ReusePolicy, StoreSnapshot } from "./snapshot.ts";
import type { Workshop } from "./workshop.ts";

/** Makes the plans of one build, from what the store knows at the time. */
export class Planner {
  readonly #graph: DerivationGraph;
  readonly #snapshot: StoreSnapshot;
  readonly #choices: Choices;
  readonly #checked: ReadonlySet<StorePath>;
  readonly #shop: Workshop;

  /** `checked`: what is to be built although it is there. */
  constructor(
    graph: DerivationGraph,
    found: {
      readonly snapshot: StoreSnapshot;
      readonly choices: Choices;
      readonly checked: ReadonlySet<StorePath>;
    },
    shop: Workshop,
  ) {
    this.#graph = graph;
    this.#snapshot = found.snapshot;
    this.#choices = found.choices;
    this.#checked = found.checked;
    this.#shop = shop;
  }

  /** A plan in which everything that is to be reused is whole on disk: damaged objects are made again. */
  async soundPlan(signal: AbortSignal): Promise<Plan> {
    for (;;) {
      const plan = this.plan();
      const damaged = await this.#findDamage(plan);
      signal.throwIfAborted();
      if (damaged.length === 0) return plan;
      for (const path of damaged) this.#snapshot.markDamaged(path);
    }
  }

  /** What is to be done, as things stand. */
  plan(): Plan {
    return makePlan(this.#graph, this.#snapshot, this.#choices, this.#checked).plan;
  }

  /** Why something is to be built. */
  reasonFor(planned: PlannedDerivation, plan: Plan, policy: ReusePolicy): Reason {
    const { table, realizations, reader, store } = this.#shop;
    if (planned.isCheck) return { code: "checkAsked" };
    return reasonFor(planned, plan, {
      policy,
      lastBuilt: (name) => table.lastBuilt(name),
      derivation: (drvPath) => (store.has(drvPath) ? reader.readNow(drvPath) : undefined),
      knownPaths: ({ drvHash, node }) =>
        drvHash === undefined
          ? []
          : node.outputs.flatMap((output) => realizations.paths(equivalenceClass(drvHash, output))),
    });
  }

  async #findDamage(plan: Plan): Promise<StorePath[]> {
    const damaged: StorePath[] = [];
    for (const { action, isCheck, outputs } of plan.values()) {
      if (action !== "reuse" && !isCheck) continue;
      for (const path of outputs?.values() ?? []) {
        if (!(await this.#shop.store.isIntact(path))) damaged.push(path);
      }
    }
    return damaged;
  }
}
