/** The builds of a store: those that run, and what is known of those that ran. */
import { v7 as uuid7 } from "uuid";
import type { Derivation } from "../format/derivation/derivation.ts";
import {
  derivationNameOf,
  directoryOf,
  isDerivationPath,
  type StorePath,
} from "../format/store-path.ts";
import type {
  BuildMessage,
  BuildResultMessage,
  BuildSummaryMessage,
  KilnResultMessage,
} from "../rpc/protocol.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Build, type BuildRequest } from "./build.ts";
import { Choices } from "./choices.ts";
import { countRemembered, refuseTooMany } from "./crowding.ts";
import type { BuildEvent, BuildTarget } from "./events.ts";
import { type Forecast, forecastOf } from "./forecast.ts";
import { makeGraph, readClosure, type Wanted } from "./graph.ts";
import { keepForgetting } from "./log-retention.ts";
import { Planner } from "./planner.ts";
import { BuildRecords } from "./records.ts";
import { closeInterruptedBuilds, removeLeftovers } from "./recover.ts";
import { type ReusePolicy, StoreSnapshot } from "./snapshot.ts";
import { UnsavedBuilds } from "./unsaved-builds.ts";
import {
  type BuildServiceOptions,
  type LogFields,
  openWorkshop,
  type Workshop,
} from "./workshop.ts";

export type { BuildServiceOptions } from "./workshop.ts";

interface CommonRequest {
  /** Which earlier realisations may be used; default all. */
  readonly reuse?: ReusePolicy;
  /** For records: who asks. */
  readonly user?: string;
}

export interface RealizeRequest extends CommonRequest {
  readonly drvPaths: readonly StorePath[];
  /** Leave the directories of failed builders, where that is allowed. Default false. */
  readonly keepFailed?: boolean;
  /** Whom those directories are for: nobody else may enter them. Default: the user who runs this process. */
  readonly keeper?: number | undefined;
  /** After a failure, begin what does not depend on it. Default true. */
  readonly keepGoing?: boolean;
  /** What the user calls them; default: their names. */
  readonly targets?: readonly BuildTarget[];
  /** Build them also where they are there, to see whether the same comes out. Default false. */
  readonly check?: boolean;
}

export interface ExpandRequest extends CommonRequest {
  readonly drvPath: StorePath;
  /** What stands for the build directory. */
  readonly tempDir: string;
}

export class BuildService implements AsyncDisposable {
  /** Builders at the same time. */
  readonly jobs: number;
  readonly #shop: Workshop;
  readonly #records: BuildRecords;
  readonly #options: BuildServiceOptions;
  /** Those that run, and those that ended last. */
  readonly #builds = new Map<string, Build>();
  readonly #running = new Map<
    string,
    { build: Build; ended: Promise<void>; abort: AbortController }
  >();
  readonly #cleanedUp: Promise<void>;
  readonly #forgetting: Disposable | undefined;
  readonly #unsaved = new UnsavedBuilds();
  #isClosing = false;

  /** Ends, in the database, builds that were under way when the process before died. */
  constructor(options: BuildServiceOptions) {
    this.jobs = options.jobs;
    this.#options = options;
    this.#shop = openWorkshop(options);
    this.#records = new BuildRecords(this.#shop, this.#builds);
    this.#cleanedUp = removeLeftovers(closeInterruptedBuilds(this.#shop), this.#shop);
    if (this.#shop.mode === "daemon") options.executors.warm();
    const { retention = 0 } = options;
    this.#forgetting = retention > 0 ? keepForgetting(this.#shop, retention) : undefined;
  }

  /**
   * Starts to realise all outputs of derivations, which are in the store with all they depend on. The build goes on by itself.
   *
   * @returns its id
   * @throws KilnError `build.request`, `store.missing`, `drv.…`, `server.closing`
   */
  async realize(request: RealizeRequest): Promise<string> {
    const { drvPaths } = request;
    const { derivations, wanted } = await this.#readWanted(drvPaths);
    return this.#start(derivations, wanted, {
      targets: request.targets ?? drvPaths.map(targetOf),
      keepFailed: request.keepFailed ?? false,
      keeper: request.keeper,
      keepGoing: request.keepGoing ?? true,
      checked: new Set(request.check === true ? drvPaths : []),
      reuse: request.reuse ?? "all",
      user: request.user,
      expand: undefined,
    });
  }

  /**
   * What {@link realize} would do with the same derivations now. Nothing is built.
   *
   * @throws KilnError as {@link realize}
   */
  async forecast(
    request: Pick<RealizeRequest, "drvPaths" | "reuse" | "check">,
    signal: AbortSignal,
  ): Promise<Forecast> {
    const { drvPaths, reuse: policy = "all", check = false } = request;
    const { derivations, wanted } = await this.#readWanted(drvPaths);
    const shop = this.#shop;
    const { checkSignature } = shop;
    const snapshot = new StoreSnapshot(shop.store, shop.realizations, { policy, checkSignature });
    const checked = new Set(check ? drvPaths : []);
    const found = { snapshot, choices: new Choices(snapshot), checked };
    const planner = new Planner(makeGraph(derivations, wanted), found, shop);
    const plan = await planner.soundPlan(signal);
    return forecastOf(plan, {
      jobs: shop.places.max,
      estimate: (name) => this.#records.estimate(name),
      reasonFor: (planned) => planner.reasonFor(planned, plan, policy),
    });
  }

  /**
   * Starts to realise the inputs of a derivation, to show then how its builder would be started.
   *
   * @returns the build's id
   * @throws KilnError as {@link realize}, and `store.relocated`
   */
  async expand({ drvPath, tempDir, reuse, user }: ExpandRequest): Promise<string> {
    const { store } = this.#shop;
    if (store.directory !== store.realDirectory) {
      throw new KilnError(
        "store.relocated",
        `derivations can only be expanded where the store lies at ${store.directory}, and it is at ${store.realDirectory}`,
        { path: store.realDirectory },
      );
    }
    const derivations = await this.#read([drvPath]);
    const derivation = derivations.get(drvPath);
    if (derivation === undefined) throw new Error(`${drvPath} was not read`);
    return this.#start(derivations, derivation.inputDerivations, {
      targets: [targetOf(drvPath)],
      keepFailed: false,
      keeper: undefined,
      keepGoing: true,
      checked: new Set(),
      reuse: reuse ?? "all",
      user,
      expand: { drvPath, derivation, tempDir },
    });
  }

  /** How a build is doing, as `zb.getBuild` says it. */
  build(id: string): BuildMessage {
    return this.#records.build(id);
  }

  /** How one derivation of a build is doing, as `zb.getBuildResult` says it. */
  result(id: string, drvPath: StorePath): BuildResultMessage {
    return this.#records.result(id, drvPath);
  }

  /**
   * All that is known of the results of a build.
   *
   * @throws KilnError `build.unknown`
   */
  results(id: string): KilnResultMessage[] {
    return this.#records.results(id);
  }

  /** Ids of the builds that ended, or else began, last; the latest first. */
  recentIDs(limit: number): string[] {
    return this.#records.recentIDs(limit);
  }

  /** The same builds in short, or only those that are in one of these states. */
  summaries(limit: number, states?: readonly string[]): BuildSummaryMessage[] {
    return this.#records.summaries(limit, states);
  }

  /**
   * Some bytes of a builder's log, see {@link BuildRecords.readLog}.
   *
   * @throws KilnError `log.range`, `log.unknown`; the reason of `signal`
   */
  readLog(
    id: string,
    drvPath: StorePath,
    start: number,
    end: number | undefined,
    signal?: AbortSignal,
  ): Promise<{ bytes: Buffer; eof: boolean }> {
    return this.#records.readLog(id, drvPath, start, end, signal);
  }

  /**
   * The events of a build after number `after`; ends with the build. Of a build that is not in memory any more, the last ones.
   *
   * @throws KilnError `build.unknown`; the reason of `signal`
   */
  watch(
    id: string,
    after: number,
    signal?: AbortSignal,
  ): AsyncGenerator<BuildEvent, void, undefined> {
    return this.#records.watch(id, after, signal);
  }

  /** Who asked for a build that runs, where that is known; undefined when it does not run. */
  running(id: string): { readonly user: string | undefined } | undefined {
    const { build } = this.#running.get(id) ?? {};
    return build && { user: build.request.user };
  }

  /**
   * Makes an object again that is lost or damaged, by building a derivation that made it, or may have.
   *
   * @throws KilnError `repair.source` when no derivation is known, `repair.failed`; the signal's reason
   */
  async makeAgain(path: StorePath, signal?: AbortSignal): Promise<void> {
    const { store, table } = this.#shop;
    const drvPaths = table.makersOf(path).filter((drvPath) => store.has(drvPath));
    let why = "";
    for (const drvPath of drvPaths) {
      const id = await this.realize({ drvPaths: [drvPath] });
      const cancel = (): void => this.cancel(id);
      signal?.addEventListener("abort", cancel);
      if (signal?.aborted === true) cancel();
      await this.ended(id);
      signal?.removeEventListener("abort", cancel);
      signal?.throwIfAborted();
      if (await store.isIntact(path)) return;
      const failed = this.results(id).find(({ failure }) => failure !== null);
      const reason = failed?.failure == null ? "" : `: ${failed.failure.message}`;
      why = `building ${drvPath} did not make it (kiln log ${id})${reason}`;
    }
    if (why !== "") throw new KilnError("repair.failed", why, { kind: "builder", path });
    throw new KilnError("repair.source", "no derivation that makes it is in the store", {
      path,
      hint: "import it again",
    });
  }

  /** What is known of builds, for those who show more than the protocol does. */
  get records(): BuildRecords {
    return this.#records;
  }

  /**
   * A derivation in the store.
   *
   * @throws KilnError `store.missing`, `store.damaged`, `drv.…`
   */
  async derivation(drvPath: StorePath): Promise<Derivation> {
    return await this.#shop.reader.read(drvPath);
  }

  /** How many builders run now. */
  get jobsUsed(): number {
    return this.#shop.places.held;
  }

  /** Tells `watcher` of every event of every build as it happens, until the result is disposed of. It must not throw. */
  subscribe(watcher: (event: BuildEvent) => void): Disposable {
    this.#shop.watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#shop.watchers.delete(watcher) };
  }

  /** Ends a build; nothing happens when it does not run. `who` is named in the records. */
  cancel(id: string, who?: string): void {
    const message = who === undefined ? "cancelled" : `cancelled by ${who}`;
    this.#running.get(id)?.abort.abort(stop("build.cancelled", message));
  }

  /** Resolves when none of the builds that run now does any more. */
  async idle(): Promise<void> {
    await Promise.all(Array.from(this.#running.values(), async ({ ended }) => await ended));
  }

  /** Resolves when the build does not run any more. */
  async ended(id: string): Promise<void> {
    await this.#running.get(id)?.ended;
  }

  /** Refuses new builds, ends those that run and waits for them. A second call waits, too. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#forgetting?.[Symbol.dispose]();
    for (const { abort } of this.#running.values()) {
      abort.abort(stop("build.interrupted", "the daemon stopped during this build"));
    }
    await this.idle();
    this.#unsaved[Symbol.dispose]();
    await this.#cleanedUp;
    await this.#shop.executors[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Derivations with all they depend on, and all of their outputs. */
  async #readWanted(
    drvPaths: readonly StorePath[],
  ): Promise<{ derivations: ReadonlyMap<StorePath, Derivation>; wanted: Wanted }> {
    if (drvPaths.length === 0) throw new KilnError("build.request", "no derivations are given");
    const derivations = await this.#read(drvPaths);
    const wanted = new Map(
      drvPaths.map((drvPath) => [drvPath, [...(derivations.get(drvPath)?.outputs.keys() ?? [])]]),
    );
    return { derivations, wanted };
  }

  #read(drvPaths: readonly StorePath[]): Promise<Map<StorePath, Derivation>> {
    const { store, reader } = this.#shop;
    this.#refuseWhenClosing();
    for (const drvPath of drvPaths) {
      if (directoryOf(drvPath) !== store.directory || !isDerivationPath(drvPath)) {
        const what = isDerivationPath(drvPath) ? `in ${store.directory}` : "a derivation";
        throw new KilnError("build.request", `${drvPath} is not ${what}`, { path: drvPath });
      }
    }
    return readClosure(drvPaths, (drvPath) => reader.read(drvPath));
  }

  async #start(
    derivations: ReadonlyMap<StorePath, Derivation>,
    wanted: Wanted,
    request: Omit<BuildRequest, "id" | "graph" | "signal">,
  ): Promise<string> {
    const graph = makeGraph(derivations, wanted);
    await this.#cleanedUp;
    this.#refuseWhenClosing();
    const underWay = Array.from(this.#running.values(), ({ build }) => build.request);
    refuseTooMany({ ...request, graph }, underWay);
    const id = uuid7();
    const abort = new AbortController();
    const { signal: scope, logFields } = this.#options.buildContext?.(id) ?? {};
    const cancel = (): void => this.cancel(id);
    const build = new Build(
      { ...request, id, graph, signal: abort.signal },
      withLogFields(this.#shop, logFields),
    );
    try {
      this.#shop.store.database.lightly(() => this.#shop.table.saveBuild(build.row));
    } catch (error) {
      build.giveUp();
      throw error;
    }
    this.#builds.set(id, build);
    if (scope?.aborted === true) abort.abort(stop("build.cancelled", "cancelled"));
    scope?.addEventListener("abort", cancel);
    const ended = build.run().finally(() => {
      scope?.removeEventListener("abort", cancel);
      this.#running.delete(id);
      this.#unsaved.add(build);
      this.#forgetOldest();
    });
    this.#running.set(id, { build, ended, abort });
    return id;
  }

  #refuseWhenClosing(): void {
    if (!this.#isClosing) return;
    throw new KilnError("server.closing", "server shutting down; not starting new builds");
  }

  #forgetOldest(): void {
    const ended = [...this.#builds.values()].filter(
      (build) => !this.#running.has(build.id) && !this.#unsaved.has(build),
    );
    const count = countRemembered(ended.map(({ request }) => request));
    for (const { id } of ended.slice(0, ended.length - count)) this.#builds.delete(id);
  }
}

function targetOf(drvPath: StorePath): BuildTarget {
  return { name: derivationNameOf(drvPath), drvPath };
}

/** The same workshop, whose log says these fields with every line. */
function withLogFields(shop: Workshop, fields: LogFields | undefined): Workshop {
  if (fields === undefined) return shop;
  return { ...shop, log: (level, text) => shop.log(level, text, fields) };
}

function stop(code: "build.cancelled" | "build.interrupted", message: string): KilnError {
  return new KilnError(code, message, { kind: "internal" });
}
