/** The builds of a store: those that run, and what is known of those that ran. */
import { v7 as uuid7 } from "uuid";
import type { Derivation } from "../format/derivation/derivation.ts";
import type { MachoBufferCreator } from "../format/references/self-references.ts";
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
import type { SigningKey } from "../format/signature.ts";
import { type BuildRow, BuildTable, type ResultRow } from "../store/database/builds.ts";
import { lightly } from "../store/database/lightly.ts";
import { equivalenceClass, RealizationTable } from "../store/database/realizations.ts";
import { isValidSignature } from "../store/realization-signatures.ts";
import type { Store } from "../store/store.ts";
import { compareBytes } from "../util/byte-string.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { KeyedMutex } from "../util/keyed-mutex.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Limiter } from "../util/limiter.ts";
import { Build, type BuildRequest } from "./build.ts";
import { logPath, maxLogChunk, readLogFile } from "./build-log.ts";
import { BuildUsers } from "./build-users.ts";
import { DerivationReader } from "./derivation-reader.ts";
import type { BuildEvent, BuildTarget } from "./events.ts";
import type { BuildUser } from "./executor.ts";
import { makeGraph, readClosure, type Wanted } from "./graph.ts";
import { keepForgetting } from "./log-retention.ts";
import { closeInterruptedBuilds, removeLeftovers } from "./recover.ts";
import { finalEvents } from "./replay.ts";
import type { ReusePolicy, SignatureCheck } from "./snapshot.ts";
import { countStates } from "./summary.ts";
import { hostSystem } from "./system.ts";
import {
  buildMessage,
  kilnResultMessage,
  resultMessage,
  type SignaturesOf,
  summaryMessage,
  unknownBuild,
  unknownResult,
} from "./views.ts";
import type { Executors, Log, Workshop } from "./workshop.ts";

export interface BuildServiceOptions {
  readonly store: Store;
  readonly executors: Executors;
  /** Builders at the same time. */
  readonly jobs: number;
  /** A hint to builders. */
  readonly coresPerBuild: number;
  /** Where builders' logs go. */
  readonly logDirectory: string;
  /** Parent of the builders' directories. */
  readonly buildDirectory: string;
  /** Whether a request may ask to keep the directories of failed builders. */
  readonly allowKeepFailed: boolean;
  /** Host paths that derivations may name in `__buildSystemDeps`; default none. */
  readonly sandboxPaths?: Iterable<string>;
  /** Who runs builders, one of them each; default: this process's user runs all. */
  readonly buildUsers?: readonly BuildUser[];
  /** Called for each new build; the build ends when the signal aborts. */
  readonly buildContext?: ((buildID: string) => { readonly signal?: AbortSignal }) | undefined;
  /** How long ended builds and their logs are kept, in milliseconds; default, and for 0 or less: for ever. */
  readonly retention?: number | undefined;
  /** For those who watch; default `daemon`. */
  readonly mode?: "daemon" | "embedded" | undefined;
  /** Whether a signature under a realisation is valid; default: whether it is. */
  readonly checkSignature?: SignatureCheck;
  /** Each of them signs every new realisation; default none. */
  readonly signingKeys?: readonly SigningKey[] | undefined;
  readonly buffers?: MachoBufferCreator | undefined;
  /** This machine's system; default: what it is. */
  readonly host?: string;
  readonly clock?: Clock;
  readonly log?: Log | undefined;
}

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
  /** After a failure, begin what does not depend on it. Default true. */
  readonly keepGoing?: boolean;
  /** What the user calls them; default: their names. */
  readonly targets?: readonly BuildTarget[];
}

export interface ExpandRequest extends CommonRequest {
  readonly drvPath: StorePath;
  /** What stands for the build directory. */
  readonly tempDir: string;
}

/** Builds that ended are kept in memory for those who watch, this many. */
const rememberedBuilds = 16;

export class BuildService implements AsyncDisposable {
  /** Builders at the same time. */
  readonly jobs: number;
  readonly #shop: Workshop;
  readonly #options: BuildServiceOptions;
  /** Those that run, and those that ended last. */
  readonly #builds = new Map<string, Build>();
  readonly #running = new Map<
    string,
    { build: Build; ended: Promise<void>; abort: AbortController }
  >();
  readonly #cleanedUp: Promise<void>;
  readonly #forgetting: Disposable | undefined;
  #isClosing = false;

  /** Ends, in the database, builds that were under way when the process before died. */
  constructor(options: BuildServiceOptions) {
    const { store } = options;
    this.jobs = options.jobs;
    this.#options = options;
    this.#shop = {
      store,
      reader: new DerivationReader(store),
      table: new BuildTable(store.database),
      realizations: new RealizationTable(store.database),
      executors: options.executors,
      places: new Limiter(options.jobs),
      users: new BuildUsers(options.buildUsers ?? []),
      derivationLocks: new KeyedMutex(),
      host: options.host ?? hostSystem(),
      mode: options.mode ?? "daemon",
      coresPerBuild: options.coresPerBuild,
      sandboxPaths: new Set(options.sandboxPaths),
      logDirectory: options.logDirectory,
      buildDirectory: options.buildDirectory,
      allowKeepFailed: options.allowKeepFailed,
      checkSignature: options.checkSignature ?? isValidSignature,
      signingKeys: options.signingKeys ?? [],
      buffers: options.buffers,
      clock: options.clock ?? systemClock,
      log: options.log ?? (() => undefined),
    };
    this.#cleanedUp = removeLeftovers(closeInterruptedBuilds(this.#shop), this.#shop);
    if (this.#shop.mode === "daemon") options.executors.native.warm?.();
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
    if (drvPaths.length === 0) throw new KilnError("build.request", "no derivations are given");
    const derivations = await this.#read(drvPaths);
    const wanted: Wanted = new Map(
      drvPaths.map((drvPath) => [drvPath, [...(derivations.get(drvPath)?.outputs.keys() ?? [])]]),
    );
    return this.#start(derivations, wanted, {
      targets: request.targets ?? drvPaths.map(targetOf),
      keepFailed: request.keepFailed ?? false,
      keepGoing: request.keepGoing ?? true,
      reuse: request.reuse ?? "all",
      user: request.user,
      expand: undefined,
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
      keepGoing: true,
      reuse: reuse ?? "all",
      user,
      expand: { drvPath, derivation, tempDir },
    });
  }

  /** How a build is doing, as `zb.getBuild` says it. */
  build(id: string): BuildMessage {
    const found = this.#find(id);
    if (found === undefined) return unknownBuild(id);
    return buildMessage(found.row, found.results(), this.#signatures());
  }

  /** How one derivation of a build is doing, as `zb.getBuildResult` says it. */
  result(id: string, drvPath: StorePath): BuildResultMessage {
    const row = this.#find(id)?.result(drvPath);
    const message = row && resultMessage(row, this.#signatures());
    return message ?? unknownResult(drvPath);
  }

  /**
   * All that is known of the results of a build.
   *
   * @throws KilnError `build.unknown`
   */
  results(id: string): KilnResultMessage[] {
    const found = this.#find(id);
    if (found === undefined) throw unknown(id);
    const signatures = this.#signatures();
    return found.results().map((row) => kilnResultMessage(row, signatures));
  }

  /** Ids of the builds that ended, or else began, last; the latest first. */
  recentIDs(limit: number): string[] {
    return this.#shop.table.recentIDs(limit);
  }

  /** The same builds in short. */
  summaries(limit: number): BuildSummaryMessage[] {
    return this.recentIDs(limit).flatMap((id) => {
      const found = this.#find(id);
      return found === undefined ? [] : [summaryMessage(found.row, found.counts())];
    });
  }

  /** Ends a build; nothing happens when it does not run. `who` is named in the records. */
  cancel(id: string, who?: string): void {
    const message = who === undefined ? "cancelled" : `cancelled by ${who}`;
    this.#running.get(id)?.abort.abort(stop("build.cancelled", message));
  }

  /** Resolves when the build does not run any more. */
  async ended(id: string): Promise<void> {
    await this.#running.get(id)?.ended;
  }

  /**
   * Some bytes of a builder's log, from byte `start` to before byte `end` at most. While the builder runs, waits until there is at least
   * one. `eof` tells that a finished log has no more bytes; it is false with the last ones if no more were asked for.
   *
   * @throws KilnError `log.range`, `log.unknown`; the reason of `signal`
   */
  async readLog(
    id: string,
    drvPath: StorePath,
    start: number,
    end: number | undefined,
    signal?: AbortSignal,
  ): Promise<{ bytes: Buffer; eof: boolean }> {
    if (start < 0 || (end !== undefined && end <= start)) {
      throw new KilnError("log.range", `there are no bytes from ${start} to before ${end}`);
    }
    const wanted = Math.min((end ?? Infinity) - start, maxLogChunk);
    for (;;) {
      const row = this.#find(id)?.result(drvPath);
      if (row === undefined || row.state === "waiting" || row.state === "skipped") {
        throw new KilnError("log.unknown", `build ${id} has no result for ${drvPath}`);
      }
      const log = this.#builds.get(id)?.results.get(drvPath)?.log;
      await log?.beyond(start, signal);
      const isFinished = log === undefined || log.finished;
      const read = await readLogFile(logPath(this.#shop.logDirectory, id, drvPath), start, wanted);
      if (read === undefined && isFinished) return { bytes: Buffer.alloc(0), eof: true };
      if (read === undefined) continue;
      if (isFinished && start > read.size) {
        throw new KilnError("log.range", `log of ${drvPath}: start byte ${start} out of range`);
      }
      if (read.bytes.length === 0 && !isFinished) continue;
      return { bytes: read.bytes, eof: isFinished && read.bytes.length < wanted };
    }
  }

  /**
   * The events of a build after number `after`; ends with the build. Of a build that is not in memory any more, the last ones.
   *
   * @throws KilnError `build.unknown`; the reason of `signal`
   */
  async *watch(
    id: string,
    after: number,
    signal?: AbortSignal,
  ): AsyncGenerator<BuildEvent, void, undefined> {
    const live = this.#builds.get(id);
    if (live !== undefined) {
      yield* live.events.read(after, signal);
      return;
    }
    const found = this.#find(id);
    if (found === undefined) throw unknown(id);
    for (const event of finalEvents(found.row, found.results())) {
      signal?.throwIfAborted();
      if (event.seq > after) yield event;
    }
  }

  /** Refuses new builds, ends those that run and waits for them. A second call waits, too. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#forgetting?.[Symbol.dispose]();
    for (const { abort } of this.#running.values()) {
      abort.abort(stop("build.interrupted", "the daemon stopped during this build"));
    }
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
    await this.#cleanedUp;
    const { native, builtin } = this.#shop.executors;
    await native[Symbol.asyncDispose]?.();
    await builtin[Symbol.asyncDispose]?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
    const id = uuid7();
    const abort = new AbortController();
    const scope = this.#options.buildContext?.(id).signal;
    const cancel = (): void => this.cancel(id);
    const build = new Build({ ...request, id, graph, signal: abort.signal }, this.#shop);
    lightly(this.#shop.store.database, () => this.#shop.table.saveBuild(build.row));
    this.#builds.set(id, build);
    if (scope?.aborted === true) abort.abort(stop("build.cancelled", "cancelled"));
    scope?.addEventListener("abort", cancel);
    const ended = build.run().finally(() => {
      scope?.removeEventListener("abort", cancel);
      this.#running.delete(id);
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
    const ended = [...this.#builds.keys()].filter((id) => !this.#running.has(id));
    for (const id of ended.slice(0, -rememberedBuilds)) this.#builds.delete(id);
  }

  /** A build in memory or in the database. */
  #find(id: string): Found | undefined {
    const live = this.#builds.get(id);
    if (live !== undefined) {
      return {
        row: live.row,
        results: () => [...live.results.values()].map((result) => result.toRow()).toSorted(byStart),
        result: (drvPath) => live.results.get(drvPath)?.toRow(),
        counts: () => countStates([...live.results.values()].map(({ state }) => state)),
      };
    }
    const { table } = this.#shop;
    const row = table.find(id);
    return (
      row && {
        row,
        results: () => table.results(id),
        result: (drvPath) => table.result(id, drvPath),
        counts: () => Object.fromEntries(table.counts(id)),
      }
    );
  }

  #signatures(): SignaturesOf {
    const { realizations } = this.#shop;
    if (!realizations.hasSignatures()) return () => [];
    return ({ drvHash }, output, path) =>
      drvHash === undefined ? [] : realizations.signatures(equivalenceClass(drvHash, output), path);
  }
}

interface Found {
  readonly row: BuildRow;
  results(): ResultRow[];
  result(drvPath: StorePath): ResultRow | undefined;
  counts(): Readonly<Record<string, number>>;
}

function byStart(a: ResultRow, b: ResultRow): number {
  return a.startedAt - b.startedAt || compareBytes(a.drvPath, b.drvPath);
}

function targetOf(drvPath: StorePath): BuildTarget {
  return { name: derivationNameOf(drvPath), drvPath };
}

function stop(code: "build.cancelled" | "build.interrupted", message: string): KilnError {
  return new KilnError(code, message, { kind: "internal" });
}

function unknown(id: string): KilnError {
  return new KilnError("build.unknown", `there is no build ${id}`);
}
