/** What is known of builds, be they in memory or in the database: as the protocol shows them, their logs and their events. */
import { setTimeout as delay } from "node:timers/promises";
import { derivationNameOf, type StorePath } from "../format/store-path.ts";
import type {
  BuildMessage,
  BuildResultMessage,
  BuildSummaryMessage,
  KilnResultMessage,
} from "../rpc/protocol.ts";
import type {
  BuildQuery,
  BuildRow,
  MakerRow,
  ResultHeadline,
  ResultRow,
} from "../store/database/builds.ts";
import { equivalenceClass } from "../store/database/realizations.ts";
import { compareBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { keepText } from "../rpc/message.ts";
import type { Build } from "./build.ts";
import { logPath, maxLogChunk, readLogFile } from "./build-log.ts";
import { type BuildEvent, wireStatus } from "./events.ts";
import { finalEvents } from "./replay.ts";
import type { Result } from "./result.ts";
import { countStates, median } from "./summary.ts";
import {
  buildMessage,
  kilnResultMessage,
  resultMessage,
  type SignaturesOf,
  summaryMessage,
  unknownBuild,
  unknownResult,
} from "./views.ts";
import type { Workshop } from "./workshop.ts";

export class BuildRecords {
  readonly #shop: Workshop;
  readonly #builds: ReadonlyMap<string, Build>;
  /** What was said last of a build in memory, and of each of its results: clients ask again and again. */
  readonly #said = new WeakMap<Build, SaidOfBuild>();
  readonly #saidOfResults = new WeakMap<Result, SaidOfResult>();

  /** `builds`: those in memory, of which more is known. */
  constructor(shop: Workshop, builds: ReadonlyMap<string, Build>) {
    this.#shop = shop;
    this.#builds = builds;
  }

  /** How a build is doing, as `zb.getBuild` says it. */
  build(id: string): BuildMessage {
    const live = this.#builds.get(id);
    if (live !== undefined && !this.#shop.realizations.hasSignatures()) return this.#say(live);
    const found = this.#find(id);
    if (found === undefined) return unknownBuild(id);
    return buildMessage(found.row, found.results(), this.#signatures());
  }

  /** The same of a build in memory, where nothing is signed. */
  #say(build: Build): BuildMessage {
    const { row } = build;
    const results = [...build.results.values()];
    const parts = results.map((result) => this.#sayOf(result));
    const said = this.#said.get(build);
    const isSame = said?.row === row && said.parts.length === parts.length;
    if (isSame && said.parts.every((part, i) => part === parts[i])) return said.message;
    const begun = results.flatMap(({ startedAt, drvPath }, i) => {
      const part = parts[i];
      return part === undefined ? [] : [{ startedAt, drvPath, part }];
    });
    const message = keepText({
      ...buildMessage(row, [], unsigned),
      results: begun.toSorted(byStart).map(({ part }) => part),
    });
    this.#said.set(build, { row, parts, message });
    return message;
  }

  #sayOf(result: Result): BuildResultMessage | undefined {
    const { state, endedAt, logSize, drvHash } = result;
    if (wireStatus(state) === undefined) return undefined;
    const said = this.#saidOfResults.get(result);
    const isSame = said?.state === state && said.endedAt === endedAt && said.logSize === logSize;
    if (isSame && said.drvHash === drvHash) return said.message;
    const message = resultMessage(result.toRow(), unsigned);
    this.#saidOfResults.set(result, { state, endedAt, logSize, drvHash, message });
    return message;
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

  /** The same builds in short, or only those that are in one of these states. */
  summaries(limit: number, states: readonly string[] = []): BuildSummaryMessage[] {
    return this.#shop.table.search({ states, limit: Math.max(0, limit) }).flatMap((id) => {
      const found = this.#find(id);
      return found === undefined ? [] : [summaryMessage(found.row, found.counts())];
    });
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
      if (read === undefined || (read.bytes.length === 0 && !isFinished)) {
        // Woken too early; or somebody has cut or removed the file, which must not keep us busy.
        await delay(100, undefined, { signal });
        continue;
      }
      if (isFinished && start > read.size) {
        throw new KilnError("log.range", `log of ${drvPath}: start byte ${start} out of range`);
      }
      return { bytes: read.bytes, eof: isFinished && read.bytes.length < wanted };
    }
  }

  /** Everything about a build, as it is now; undefined when it is not known. */
  inspect(id: string): InspectedBuild | undefined {
    const found = this.#find(id);
    if (found === undefined) return undefined;
    const seq = this.#builds.get(id)?.events.last ?? 0;
    return { row: found.row, results: found.results(), counts: found.counts(), seq };
  }

  /**
   * Where the log of a result lies; the file is absent when nothing was written.
   *
   * @throws KilnError `log.unknown`
   */
  logFile(id: string, drvPath: StorePath): LogFile {
    const row = this.#find(id)?.result(drvPath);
    if (row === undefined || row.state === "waiting" || row.state === "skipped") {
      throw new KilnError("log.unknown", `build ${id} has no result for ${drvPath}`);
    }
    const log = this.#builds.get(id)?.results.get(drvPath)?.log;
    return {
      path: logPath(this.#shop.logDirectory, id, drvPath),
      isFinished: () => log === undefined || log.finished,
      beyond: async (offset, signal) => await log?.beyond(offset, signal),
    };
  }

  /** A build as lists show it. */
  find(id: string): FoundBuild | undefined {
    const found = this.#find(id);
    return found && this.#headed(found);
  }

  /** How many builds are known. */
  count(): number {
    return this.#shop.table.count();
  }

  /** The results that had an object among their outputs: first one that made it. */
  resultsWith(path: StorePath, limit: number): MakerRow[] {
    return this.#shop.table.resultsWith(path, limit);
  }

  /** The results in which a derivation was built, the latest first. */
  timesBuilt(drvPath: StorePath, limit: number): (ResultRow & { readonly buildID: string })[] {
    return this.#shop.table.timesBuilt(drvPath, derivationNameOf(drvPath), limit);
  }

  /** Builds that match, the latest first. */
  search(query: BuildQuery): FoundBuild[] {
    return this.#shop.table.search(query).flatMap((id) => {
      const found = this.#find(id);
      return found === undefined ? [] : [this.#headed(found)];
    });
  }

  /** The builds that run, in the order they began. */
  running(): (FoundBuild & { readonly results: readonly ResultRow[] })[] {
    return [...this.#builds.values()]
      .filter((build) => !build.isEnded)
      .flatMap(({ id }) => {
        const found = this.#find(id);
        return found === undefined ? [] : [{ ...this.#headed(found), results: found.results() }];
      });
  }

  /** How long a derivation of this name usually takes, in milliseconds; null if it was never built. */
  estimate(name: string): number | null {
    return median(this.#shop.table.durations(name, 5));
  }

  #headed(found: Found): FoundBuild {
    const { row } = found;
    return { row, counts: found.counts(), headline: this.#shop.table.headline(row.id) };
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
    if (!realizations.hasSignatures()) return unsigned;
    return ({ drvHash }, output, path) =>
      drvHash === undefined ? [] : realizations.signatures(equivalenceClass(drvHash, output), path);
  }
}

/** A build and what became of its derivations. */
export interface InspectedBuild {
  readonly row: BuildRow;
  readonly results: readonly ResultRow[];
  /** How many results are in each state. */
  readonly counts: Readonly<Record<string, number>>;
  /** The number of its last event; 0 when its events are not in memory any more. */
  readonly seq: number;
}

/** A build in a list. */
export interface FoundBuild {
  readonly row: BuildRow;
  readonly counts: Readonly<Record<string, number>>;
  /** The result that says most about what happened. */
  readonly headline: ResultHeadline | undefined;
}

/** A builder's log on disk. */
export interface LogFile {
  readonly path: string;
  /** Whether nothing more will be written. */
  isFinished(): boolean;
  /** Waits until there are more than `offset` bytes, or the log is finished. Rejects with the reason of `signal`. */
  beyond(offset: number, signal?: AbortSignal): Promise<void>;
}

interface Found {
  readonly row: BuildRow;
  results(): ResultRow[];
  result(drvPath: StorePath): ResultRow | undefined;
  counts(): Readonly<Record<string, number>>;
}

interface SaidOfBuild {
  readonly row: BuildRow;
  /** Of each result. */
  readonly parts: readonly (BuildResultMessage | undefined)[];
  readonly message: BuildMessage;
}

/** With all that it depends on: outputs come with the end. */
type SaidOfResult = Readonly<Pick<Result, "state" | "endedAt" | "logSize" | "drvHash">> & {
  readonly message: BuildResultMessage | undefined;
};

const unsigned: SignaturesOf = () => [];

function byStart(
  a: Pick<ResultRow, "startedAt" | "drvPath">,
  b: Pick<ResultRow, "startedAt" | "drvPath">,
): number {
  return a.startedAt - b.startedAt || compareBytes(a.drvPath, b.drvPath);
}

function unknown(id: string): KilnError {
  return new KilnError("build.unknown", `there is no build ${id}`);
}
