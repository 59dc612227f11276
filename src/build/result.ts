import { sortedMap } from "../format/derivation/derivation.ts";
import type { Hash } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import type { ResultRow } from "../store/database/builds.ts";
import type { BuildLog } from "./build-log.ts";
import type { Failure, Reason, ResultState } from "./events.ts";

/** What a running build knows about one derivation; the database gets it as a row. */
export class Result {
  readonly drvPath: StorePath;
  readonly name: string;
  state: ResultState = "waiting";
  drvHash: Hash | undefined;
  executor: string | undefined;
  /** How its builder is kept apart from the machine, for people. */
  isolation: string | undefined;
  buildUser: string | undefined;
  buildDirectory: string | undefined;
  reason: Reason | undefined;
  failure: Failure | undefined;
  exitCode: number | undefined;
  signal: string | undefined;
  /** Milliseconds since the Unix epoch, like all times here. */
  startedAt: number;
  builderStartedAt: number | undefined;
  builderEndedAt: number | undefined;
  endedAt: number | undefined;
  /** Its log while that can grow. */
  log: BuildLog | undefined;
  #logSize: number | undefined;
  #outputs: Map<string, StorePath | null>;

  constructor(drvPath: StorePath, name: string, outputs: readonly string[], now: number) {
    this.drvPath = drvPath;
    this.name = name;
    this.startedAt = now;
    this.#outputs = new Map(outputs.map((output) => [output, null]));
  }

  /** By name, sorted; null until made or found. */
  get outputs(): ReadonlyMap<string, StorePath | null> {
    return this.#outputs;
  }

  /** All outputs are known now. */
  setOutputs(outputs: ReadonlyMap<string, StorePath>): void {
    this.#outputs = sortedMap(outputs);
  }

  /** Bytes of its log so far; undefined when it has none. */
  get logSize(): number | undefined {
    return this.log?.size ?? this.#logSize;
  }

  /** No more is written to the log. Who waits for its end finds the result ended. */
  finishLog(): void {
    if (this.log === undefined) return;
    this.#logSize = this.log.size;
    this.log.finish();
    this.log = undefined;
  }

  toRow(): ResultRow {
    const { reason, failure } = this;
    return {
      drvPath: this.drvPath,
      name: this.name,
      state: this.state,
      drvHash: this.drvHash,
      executor: this.executor,
      isolation: this.isolation,
      buildUser: this.buildUser,
      buildDirectory: this.buildDirectory,
      reason: reason && {
        code: reason.code,
        detail: reason.detail && JSON.stringify(reason.detail),
      },
      failure,
      exitCode: this.exitCode,
      signal: this.signal,
      startedAt: this.startedAt,
      builderStartedAt: this.builderStartedAt,
      builderEndedAt: this.builderEndedAt,
      endedAt: this.endedAt,
      logSize: this.logSize,
      outputs: this.outputs,
    };
  }
}
