/**
 * Carries out a plan: everything whose inputs are there is under way at the same time (how much really runs is for those who run it
 * to limit), and what does not depend on a failure goes on after it.
 */
import type { StorePath } from "../format/store-path.ts";
import type { Outputs, Plan, PlannedDerivation } from "./plan.ts";

/** What became of a derivation. */
export type Ended = { readonly outputs: Outputs } | "failed";

export interface SchedulerOptions {
  /**
   * Reuses or builds one derivation. Must not reject. It calls `early` when its outputs can be used, if that is before it has ended; what
   * waits for them is begun then, and has to see for itself how it ends.
   */
  readonly carryOut: (
    planned: PlannedDerivation,
    early: (outputs: Outputs) => void,
  ) => Promise<Ended>;
  /** Called for each derivation that is not begun, because of a failure or of `signal`. */
  readonly onSkipped: (planned: PlannedDerivation) => void;
  /** Makes a new plan when an output has turned out to be another than was assumed. */
  readonly replan: () => Plan;
  /** After a failure, begin what does not depend on it. */
  readonly keepGoing: boolean;
  /** Once aborted nothing more is begun; what runs is for its own listeners to end. */
  readonly signal: AbortSignal;
}

type Progress = "running" | "done" | "failed" | "skipped";

/** Resolves when everything that the plan needs has ended or was skipped; rejects, not before that either, when no new plan can be made. */
export async function carryOutPlan(plan: Plan, options: SchedulerOptions): Promise<void> {
  const scheduler = new Scheduler(plan, options);
  await scheduler.run();
}

/** Milliseconds of beginning derivations after which others get their turn: what those wait for that were begun may be there. */
const sliceLength = 0.5;

class Scheduler {
  #plan: Plan;
  readonly #options: SchedulerOptions;
  readonly #progress = new Map<StorePath, Progress>();
  /** What the plan wants done and has not ended. */
  #open = new Set<StorePath>();
  /** How many of those it waits for have not ended, for each derivation that was not begun. */
  #missing = new Map<StorePath, number>();
  /** Who waits for a derivation. */
  #waiting = new Map<StorePath, StorePath[]>();
  /** What waits for nothing any more, the next one last. */
  #ready: PlannedDerivation[] = [];
  readonly #finished = Promise.withResolvers<void>();
  #running = 0;
  #isStopped = false;
  /** Whether it is everybody else's turn. */
  #isPausing = false;
  /** What ended the work as a whole; told when nothing runs any more. */
  #fault: { readonly error: unknown } | undefined;

  constructor(plan: Plan, options: SchedulerOptions) {
    this.#plan = plan;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    const stop = (): void => this.#stop();
    this.#isStopped = signal.aborted;
    signal.addEventListener("abort", stop);
    try {
      this.#follow(this.#plan);
      await this.#finished.promise;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Notes what there is to do and what that waits for, and begins what can be begun. */
  #follow(plan: Plan): void {
    this.#plan = plan;
    this.#open = new Set();
    this.#missing = new Map();
    this.#waiting = new Map();
    this.#ready = [];
    for (const [drvPath, planned] of plan) {
      if (isToDo(planned) && !this.#progress.has(drvPath)) this.#open.add(drvPath);
    }
    for (const drvPath of this.#open) {
      const planned = plan.get(drvPath);
      if (planned === undefined) continue;
      const inputs = [...planned.waitsFor].filter((input) => this.#isUnderWay(input));
      this.#missing.set(drvPath, inputs.length);
      for (const input of inputs) {
        const list = this.#waiting.get(input);
        if (list === undefined) this.#waiting.set(input, [drvPath]);
        else list.push(drvPath);
      }
      if (inputs.length === 0) this.#ready.push(planned);
    }
    // In the order of the plan: what is prepared ahead is prepared in that order, too.
    this.#ready.reverse();
    this.#goOn();
  }

  /** Begins, or skips, what waits for nothing; that may set free what waits for it. Of very many some are begun a moment later. */
  #goOn(): void {
    if (this.#isPausing) return;
    const end = performance.now() + sliceLength;
    for (let next = this.#ready.pop(); next !== undefined; next = this.#ready.pop()) {
      const { drvPath } = next.node;
      if (this.#progress.has(drvPath)) continue;
      if (this.#isStopped || this.#hasFailedInput(next)) {
        this.#options.onSkipped(next);
        this.#end(drvPath, "skipped");
      } else {
        this.#progress.set(drvPath, "running");
        this.#running++;
        void this.#carryOut(next);
      }
      if (this.#ready.length > 0 && performance.now() >= end) {
        this.#isPausing = true;
        setImmediate(() => this.#goOnLater());
        return;
      }
    }
    if (this.#running > 0 || this.#open.size > 0) return;
    if (this.#fault === undefined) this.#finished.resolve();
    else this.#finished.reject(this.#fault.error);
  }

  #goOnLater(): void {
    this.#isPausing = false;
    try {
      this.#goOn();
    } catch (error) {
      this.#fault ??= { error };
      this.#stop();
    }
  }

  async #carryOut(planned: PlannedDerivation): Promise<void> {
    const { drvPath } = planned.node;
    let ended: Ended = "failed";
    try {
      ended = await this.#options.carryOut(planned, (outputs) => {
        if (!isOtherThanAssumed(planned, outputs)) this.#beginEarly(drvPath);
      });
    } catch (error) {
      this.#fault ??= { error };
      this.#isStopped = true;
    }
    this.#running--;
    try {
      this.#end(drvPath, ended === "failed" ? "failed" : "done");
      if (ended === "failed") {
        if (!this.#options.keepGoing) this.#stop();
        else this.#goOn();
      } else if (isOtherThanAssumed(planned, ended.outputs) && !this.#isStopped) {
        this.#follow(this.#options.replan());
      } else {
        this.#goOn();
      }
    } catch (error) {
      this.#fault ??= { error };
      this.#stop();
    }
  }

  #end(drvPath: StorePath, progress: Progress): void {
    this.#progress.set(drvPath, progress);
    this.#open.delete(drvPath);
    this.#release(drvPath);
  }

  #beginEarly(drvPath: StorePath): void {
    this.#release(drvPath);
    try {
      this.#goOn();
    } catch (error) {
      this.#fault ??= { error };
      this.#stop();
    }
  }

  /** Whoever waits for this one waits for one less. */
  #release(drvPath: StorePath): void {
    const waiting = this.#waiting.get(drvPath) ?? [];
    this.#waiting.delete(drvPath);
    for (const dependent of waiting) {
      const missing = (this.#missing.get(dependent) ?? 0) - 1;
      this.#missing.set(dependent, missing);
      const planned = this.#plan.get(dependent);
      if (missing === 0 && planned !== undefined) this.#ready.push(planned);
    }
  }

  /** What was not begun never will be. */
  #stop(): void {
    this.#isStopped = true;
    for (const drvPath of this.#open) {
      const planned = this.#plan.get(drvPath);
      if (planned !== undefined && !this.#progress.has(drvPath)) this.#ready.push(planned);
    }
    this.#goOn();
  }

  #isUnderWay(drvPath: StorePath): boolean {
    return this.#progress.get(drvPath) === "running" || this.#open.has(drvPath);
  }

  /** What is reused needs no inputs: if one of them fails, what was assumed of it was not refuted. */
  #hasFailedInput({ action, waitsFor }: PlannedDerivation): boolean {
    if (action !== "build") return false;
    return [...waitsFor].some((input) => {
      const progress = this.#progress.get(input);
      return progress === "failed" || progress === "skipped";
    });
  }
}

function isToDo({ action }: PlannedDerivation): boolean {
  return action === "reuse" || action === "build";
}

function isOtherThanAssumed({ outputs: assumed }: PlannedDerivation, outputs: Outputs): boolean {
  if (assumed === undefined) return false;
  return [...assumed].some(([name, path]) => outputs.get(name) !== path);
}
