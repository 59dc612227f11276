/** One build: a request, the derivations it takes, and what has become of them so far. */
import { printContentAddress } from "../format/content-address.ts";
import type { Hash } from "../format/hash.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import type { BuildRow } from "../store/database/builds.ts";
import type { EquivalenceClass } from "../store/database/realizations.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { Pacer } from "../util/pacer.ts";
import { BuildLog, logPath } from "./build-log.ts";
import { Choices } from "./choices.ts";
import { outputsOf } from "./early-outputs.ts";
import { EventLog } from "./event-log.ts";
import {
  type BuildEvent,
  type BuildState,
  type BuildTarget,
  type LogEnd,
  wireStatus,
} from "./events.ts";
import type { BuildUser, Executor } from "./executor.ts";
import { type Expand, expansionOf, temporaryPaths } from "./expansion.ts";
import type { Shortfall } from "./failure.ts";
import type { DerivationGraph } from "./graph.ts";
import { carryOut } from "./job.ts";
import {
  classesToBuild,
  fixedOutput,
  type Outputs,
  type Plan,
  type PlannedDerivation,
} from "./plan.ts";
import { Planner } from "./planner.ts";
import { Reporter } from "./reporter.ts";
import { Result } from "./result.ts";
import { carryOutPlan, type Ended } from "./scheduler.ts";
import { type ReusePolicy, StoreSnapshot } from "./snapshot.ts";
import { median, worstOf } from "./summary.ts";
import { builtinSystem } from "./system.ts";
import { WorkDirectories } from "./work-directories.ts";
import type { Workshop } from "./workshop.ts";

export interface BuildRequest {
  readonly id: string;
  readonly graph: DerivationGraph;
  readonly targets: readonly BuildTarget[];
  readonly reuse: ReusePolicy;
  readonly keepFailed: boolean;
  /** Whose the kept directories are to be. */
  readonly keeper: number | undefined;
  readonly keepGoing: boolean;
  /** What is to be built although it is there, to see whether the same comes out. */
  readonly checked: ReadonlySet<StorePath>;
  readonly user: string | undefined;
  /** Set for a build that ends with showing how a builder would be started. */
  readonly expand: Expand | undefined;
  /** Aborts when the build is to end. */
  readonly signal: AbortSignal;
}

export class Build {
  readonly id: string;
  readonly request: BuildRequest;
  readonly signal: AbortSignal;
  readonly snapshot: StoreSnapshot;
  readonly choices: Choices;
  readonly events: EventLog;
  readonly results: Map<StorePath, Result> = new Map();
  readonly workDirectories: WorkDirectories;
  readonly #shop: Workshop;
  readonly #planner: Planner;
  readonly #report: Reporter;
  /** Keeps what it uses in the store until it ends. */
  readonly #kept = new DisposableStack();
  #row: BuildRow;
  #expected: ReadonlySet<EquivalenceClass> = new Set();
  /** By name, of what the plan builds. */
  readonly #estimates = new Map<string, number | null>();
  #isSaved = true;
  #hasFailed = false;

  constructor(request: BuildRequest, shop: Workshop) {
    this.id = request.id;
    this.request = request;
    this.signal = request.signal;
    this.#shop = shop;
    const { reuse: policy } = request;
    this.snapshot = new StoreSnapshot(shop.store, shop.realizations, {
      policy,
      checkSignature: shop.checkSignature,
    });
    this.choices = new Choices(this.snapshot);
    const { snapshot, choices } = this;
    this.#planner = new Planner(request.graph, { ...request, snapshot, choices }, shop);
    this.events = new EventLog(request.id, shop.clock, undefined, (event) => {
      for (const watcher of shop.watchers) this.#tell(watcher, event);
    });
    this.#report = new Reporter(this, shop);
    this.workDirectories = new WorkDirectories({
      parent: shop.buildDirectory,
      save: (results) => this.#saveResults(results),
    });
    this.#row = {
      id: request.id,
      kind: request.expand === undefined ? "realize" : "expand",
      state: "running",
      startedAt: shop.clock.now(),
      endedAt: undefined,
      user: request.user,
      failure: undefined,
      expansion: undefined,
      targets: request.targets,
    };
    this.#kept.use(shop.store.session());
    this.#kept.use(shop.store.protect(request.graph.nodes.keys()));
  }

  /** Whoever watches must not disturb the build. */
  #tell(watcher: (event: BuildEvent) => void, event: BuildEvent): void {
    try {
      watcher(event);
    } catch (error) {
      const { message } = KilnError.from(error);
      this.#shop.log("warn", `build ${this.id}: a watcher failed: ${message}`);
    }
  }

  /** What the database knows, or will know, of the build. */
  get row(): BuildRow {
    return this.#row;
  }

  /** Classes of which its plan makes something. */
  get expected(): ReadonlySet<EquivalenceClass> {
    return this.#expected;
  }

  /** Whether nothing more is to be begun, after a failure. */
  get hasStopped(): boolean {
    return this.#hasFailed && !this.request.keepGoing;
  }

  get isEnded(): boolean {
    return this.#row.endedAt !== undefined;
  }

  /** Gives back what it holds when it is not going to be run. */
  giveUp(): void {
    this.#kept.dispose();
  }

  /** Runs the build to its end. Never rejects. */
  async run(): Promise<void> {
    this.#report.started();
    const names = this.request.targets.map(({ name }) => name).join(", ");
    this.#shop.log("debug", `build ${this.id}: began: ${names}`);
    let failure: KilnError | undefined;
    try {
      const plan = await this.#planner.soundPlan(this.signal);
      this.#warmUp(plan);
      await this.#explain(plan);
      this.#report.planned(plan);
      await carryOutPlan(this.#settle(plan), {
        carryOut: (planned, early) => this.#carryOut(planned, early),
        onSkipped: (planned) => this.skip(this.result(planned)),
        replan: () => this.#replan(),
        keepGoing: this.request.keepGoing,
        signal: this.signal,
      });
    } catch (error) {
      failure = KilnError.from(error);
      this.#shop.log("error", `build ${this.id}: ${failure.message}`);
    }
    try {
      await this.#end(failure);
    } finally {
      this.#kept.dispose();
      this.events.end();
    }
  }

  #carryOut(planned: PlannedDerivation, early: (outputs: Outputs) => void): Promise<Ended> {
    const ended = carryOut(planned, this, this.#shop, (infos) => {
      this.choices.early.add(planned.node.drvPath, infos, ended);
      early(outputsOf(infos));
    });
    return ended;
  }

  /** The result of a derivation, made when it is first asked for. */
  result({ node }: PlannedDerivation): Result {
    let result = this.results.get(node.drvPath);
    if (result === undefined) {
      const { drvPath, derivation, outputs } = node;
      result = new Result(drvPath, derivation.name, outputs, this.#shop.clock.now());
      this.results.set(drvPath, result);
    }
    return result;
  }

  /** Its builder is about to be started; `executor` is undefined when it already failed. */
  begin(result: Result, executor: Executor | undefined, user: BuildUser | undefined): void {
    result.state = "running";
    result.startedAt = this.#shop.clock.now();
    result.executor = executor?.name;
    result.isolation = executor && this.#shop.executors.isolationOf(executor);
    result.buildUser = user && `${user.uid}:${user.gid}`;
    this.logOf(result);
    if (executor !== undefined) this.#report.resultStarted(result);
  }

  /** The log of a result that has not ended, made when it is first asked for. */
  logOf(result: Result): BuildLog {
    result.log ??= new BuildLog(logPath(this.#shop.logDirectory, this.id, result.drvPath));
    return result.log;
  }

  phase(
    result: Result,
    phase: string,
    amount: {
      done?: number | undefined;
      total?: number | undefined;
      unit?: string | undefined;
    } = {},
  ): void {
    this.#report.phase(result, phase, amount);
  }

  added(info: ObjectInfo): void {
    const { storePath: path, narHash, narSize, ca } = info;
    this.snapshot.markRepaired(path);
    this.events.emit({
      type: "object.added",
      path,
      narHash: narHash.sri(),
      narSize,
      ca: ca === undefined ? null : printContentAddress(ca),
      how: "built",
    });
  }

  /** Its outputs were there. */
  reused(result: Result, drvHash: Hash, outputs: Outputs): Ended {
    this.#reuse(result, drvHash, outputs);
    this.#saveResults([result]);
    return { outputs };
  }

  /** Its outputs were made and recorded. */
  built(
    result: Result,
    made: { readonly drvHash: Hash; readonly outputs: Outputs; readonly endedAt: number },
  ): void {
    const { drvHash, outputs, endedAt } = made;
    this.choices.finish(result.drvPath, { drvHash, outputs, isMade: true });
    this.#keep(outputs);
    result.setOutputs(outputs);
    result.endedAt = endedAt;
    result.state = "built";
    result.finishLog();
    this.#report.resultFinished(result);
  }

  /** It was made again; what came out is only told of. */
  checked(result: Result, outputs: Outputs): void {
    result.setOutputs(outputs);
    result.endedAt = this.#shop.clock.now();
    result.state = "built";
    result.finishLog();
    this.#saveResults([result]);
    this.#report.resultFinished(result);
  }

  /** Something has failed, or is about to be told of as that. */
  noteFailure(): void {
    this.#hasFailed = true;
  }

  failed(result: Result, shortfall: Shortfall, end: LogEnd): void {
    this.noteFailure();
    result.state = shortfall.state;
    result.failure = shortfall.failure;
    result.exitCode = shortfall.exitCode;
    result.signal = shortfall.signal;
    result.endedAt = this.#shop.clock.now();
    result.log?.finish();
    result.log = undefined;
    this.#saveResults([result]);
    this.#report.resultFinished(result, end);
  }

  /** What its builder left was kept to be looked at. */
  kept({ name, drvPath }: Result, path: string): void {
    this.#report.message("info", {
      code: "build.kept",
      text: `the build directory of ${name} is kept: ${path}`,
      hint: `kiln derivation env --json --temp-dir ${path} ${drvPath} says what to run in it`,
      path,
    });
  }

  /** It is not begun at all. That is written down with the end of the build: there may be thousands at once. */
  skip(result: Result): void {
    result.state = "skipped";
    result.endedAt = this.#shop.clock.now();
    result.finishLog();
    this.#report.resultFinished(result);
  }

  /** Whether that was possible. */
  #saveResults(results: readonly Result[]): boolean {
    const { store, table } = this.#shop;
    try {
      store.database.lightly(() => {
        for (const result of results) table.saveResult(this.id, result.toRow());
      });
      return true;
    } catch (error) {
      this.#notSaved(error);
      return false;
    }
  }

  /** Whether the database knows all that it should. */
  get isSaved(): boolean {
    return this.#isSaved;
  }

  /** Tries once more to write down what could not be. Whether all is written now. */
  save(): boolean {
    const { store, table } = this.#shop;
    try {
      store.database.lightly(() => {
        for (const result of this.results.values()) table.saveResult(this.id, result.toRow());
        table.saveBuild(this.#row);
      });
      this.#isSaved = true;
    } catch {
      // As before.
    }
    return this.#isSaved;
  }

  #notSaved(error: unknown): void {
    this.#isSaved = false;
    this.#shop.log("error", `build ${this.id}: ${KilnError.from(error).message}`);
  }

  /** An output is not what was assumed. */
  #replan(): Plan {
    const plan = this.#planner.plan();
    for (const planned of plan.values()) this.#explainOne(planned, plan);
    this.#report.replanned(plan);
    return this.#settle(plan);
  }

  /** Notes why things are built, and how long that usually takes: questions to the database, in which others get their turn. */
  async #explain(plan: Plan): Promise<void> {
    const pacer = new Pacer();
    for (const planned of plan.values()) {
      this.#explainOne(planned, plan);
      await pacer.pause();
    }
  }

  #explainOne(planned: PlannedDerivation, plan: Plan): void {
    if (planned.action !== "build") return;
    const result = this.result(planned);
    result.reason ??= this.#planner.reasonFor(planned, plan, this.request.reuse);
    this.estimate(result.name);
  }

  #warmUp(plan: Plan): void {
    const { executors, store } = this.#shop;
    const programs = [...plan.values()].filter(runsProgram);
    if (programs.length > 0) executors.warm();
    this.workDirectories.expect(programs.map((planned) => this.result(planned)));
    const names = programs.flatMap(({ node: { drvPath, derivation } }) =>
      fixedOutput(derivation) === undefined
        ? [...temporaryPaths(drvPath, derivation).values()]
        : [],
    );
    this.#kept.use(store.expect(names));
    // The first ones get on disk while the rest is prepared.
    store.announce(names.slice(0, 1));
  }

  /** Does at once what needs no waiting: everything reused without a doubt. */
  #settle(plan: Plan): Plan {
    this.#expected = classesToBuild(plan);
    const settled = new Map(plan);
    const reused: Result[] = [];
    for (const [drvPath, planned] of plan) {
      const { drvHash, outputs, isCheck } = planned;
      if (!isSettled(planned) || drvHash === undefined || outputs === undefined) continue;
      if (isCheck) {
        this.choices.finish(drvPath, { drvHash, outputs, isMade: false });
        this.#keep(outputs);
        continue;
      }
      const result = this.result(planned);
      this.#reuse(result, drvHash, outputs);
      reused.push(result);
      settled.set(drvPath, { ...planned, action: "done" });
    }
    if (reused.length > 0) this.#saveResults(reused);
    return settled;
  }

  #reuse(result: Result, drvHash: Hash, outputs: Outputs): void {
    this.choices.finish(result.drvPath, { drvHash, outputs, isMade: false });
    this.#keep(outputs);
    const now = this.#shop.clock.now();
    result.drvHash = drvHash;
    result.setOutputs(outputs);
    result.state = "reused";
    result.reason = undefined;
    result.startedAt = now;
    result.endedAt = now;
    this.#report.resultFinished(result);
  }

  #keep(outputs: Outputs): void {
    this.#kept.use(this.#shop.store.protect(outputs.values()));
  }

  /** How long a derivation of this name usually takes, in milliseconds. */
  estimate(name: string): number | null {
    const known = this.#estimates.get(name);
    if (known !== undefined) return known;
    const estimate = median(this.#shop.table.durations(name, 5));
    this.#estimates.set(name, estimate);
    return estimate;
  }

  async #end(failure: KilnError | undefined): Promise<void> {
    const { store, table, clock, log } = this.#shop;
    let state = this.#finalState(failure);
    let expansion: string | undefined;
    let fault = failure?.message;
    const isSuccess = wireStatus(state) === "success";
    if (this.request.expand !== undefined && isSuccess) {
      try {
        expansion = JSON.stringify(expansionOf(this.request.expand, this.choices, this.#shop));
      } catch (error) {
        state = "error";
        fault = KilnError.from(error).message;
      }
    }
    const row = { ...this.#row, state, endedAt: clock.now(), failure: fault, expansion };
    const results = [...this.results.values()];
    const save = (): void => {
      for (const result of results) {
        if (result.state === "skipped") table.saveResult(this.id, result.toRow());
      }
      table.saveBuild(row);
    };
    try {
      const hasBuilt = results.some((result) => result.state === "built");
      if (hasBuilt) await store.database.durably(save);
      else store.database.lightly(save);
    } catch (error) {
      this.#notSaved(error);
    }
    this.#row = row;
    log("debug", `build ${this.id}: ${state}`);
    this.#report.finished(row);
  }

  #finalState(failure: KilnError | undefined): BuildState {
    if (failure !== undefined) return stoppedBy(failure) ?? "error";
    const state = worstOf([...this.results.values()].map((result) => result.state));
    if (!this.signal.aborted || wireStatus(state) !== "success") return state;
    // Nothing ran when it was ended; that something was left out tells whether that came in time.
    const isIncomplete = [...this.results.values()].some((result) => result.state === "skipped");
    return isIncomplete ? (stoppedBy(this.signal.reason) ?? "cancelled") : state;
  }
}

function runsProgram({ action, node }: PlannedDerivation): boolean {
  return action === "build" && node.derivation.system !== builtinSystem;
}

/** Whether its outputs are there and nothing can show that they are not the right ones. */
function isSettled({ action, isCheck, isPresent, waitsFor }: PlannedDerivation): boolean {
  if (isCheck) return true;
  return action === "reuse" ? waitsFor.size === 0 : action === "none" && isPresent;
}

/** What a build is that ended for this reason, if it was stopped. */
function stoppedBy(reason: unknown): "cancelled" | "interrupted" | undefined {
  if (hasCode(reason, "build.cancelled")) return "cancelled";
  return hasCode(reason, "build.interrupted") ? "interrupted" : undefined;
}
