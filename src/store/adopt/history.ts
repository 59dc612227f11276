/** zb's builds, realisations and their words, as Kiln's. */
import { Hash } from "../../format/hash.ts";
import { derivationNameOf, parseStorePath, type StorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { BuildRow, ResultRow, TargetRow } from "../database/builds.ts";
import {
  equivalenceClass,
  type EquivalenceClass,
  type Realization,
} from "../database/realizations.ts";
import type { ZbBuild, ZbClass, ZbDerivationHash, ZbRealization, ZbResult } from "./zb-database.ts";

export interface HistoryOptions {
  /** Bytes of a result's log; undefined when there is none. */
  readonly logSize: (buildID: string, drvPath: StorePath) => number | undefined;
  /** What a derivation refers to: its inputs, as far as it is known. */
  readonly references: (drvPath: StorePath) => readonly string[];
}

/**
 * A realisation as Kiln keeps it.
 *
 * @throws KilnError `zb.hash` for a derivation hash that is not SHA-256, `path.invalid`
 */
export function realizationOf(row: ZbRealization): Realization {
  return {
    equivalence: classOf(row),
    path: parseStorePath(row.path),
    references: row.references.map(({ path, producer }) => ({
      path: parseStorePath(path),
      producer: producer && classOf(producer),
    })),
    signatures: row.signatures,
  };
}

/**
 * A build with its results. What had not ended when zb did has been interrupted.
 *
 * @throws KilnError `zb.hash`, `path.invalid`
 */
export function buildOf(
  build: ZbBuild,
  options: HistoryOptions,
): { build: BuildRow; results: ResultRow[] } {
  const { id, expansion, failure } = build;
  const startedAt = build.startedAt ?? 0;
  const lastSign = Math.max(startedAt, ...build.results.flatMap(timesOf));
  const endedAt = build.endedAt ?? lastSign;
  const results = build.results.map((result) => resultOf(result, id, { ...options, endedAt }));
  const isWhole = build.endedAt !== undefined;
  return {
    build: {
      id,
      kind: expansion === undefined ? "realize" : "expand",
      state: stateOf(results, failure, isWhole),
      startedAt,
      endedAt,
      user: undefined,
      failure,
      expansion: expansion && JSON.stringify(expansion),
      targets: targetsOf(results, options),
    },
    results,
  };
}

function resultOf(
  result: ZbResult,
  buildID: string,
  { logSize, endedAt }: HistoryOptions & { readonly endedAt: number },
): ResultRow {
  const drvPath = parseStorePath(result.drvPath);
  return {
    drvPath,
    name: derivationNameOf(drvPath),
    ...outcomeOf(result),
    drvHash: result.hash && sha256Of(result.hash),
    executor: undefined,
    isolation: undefined,
    buildUser: undefined,
    buildDirectory: undefined,
    reason: undefined,
    exitCode: undefined,
    signal: undefined,
    startedAt: result.startedAt ?? endedAt,
    builderStartedAt: result.builderStartedAt,
    builderEndedAt: result.builderEndedAt,
    endedAt: result.endedAt ?? endedAt,
    logSize: logSize(buildID, drvPath),
    outputs: new Map(
      Array.from(result.outputs, ([name, path]) => [
        name,
        path === null ? null : parseStorePath(path),
      ]),
    ),
  };
}

/** zb has no more than four words, and keeps its reasons in the log alone. */
function outcomeOf({ status, builderStartedAt }: ZbResult): Pick<ResultRow, "state" | "failure"> {
  switch (status) {
    case "success":
      return { state: builderStartedAt === undefined ? "reused" : "built", failure: undefined };
    case "fail":
      return { state: "failed", failure: failureOf("builder", "builder.failed", "builder failed") };
    case "error":
      return { state: "error", failure: failureOf("internal", "zb.error", "zb internal error") };
    default:
      return {
        state: "interrupted",
        failure: failureOf("internal", "build.interrupted", "zb ended before the build did"),
      };
  }
}

function failureOf(kind: string, code: string, message: string): NonNullable<ResultRow["failure"]> {
  return { kind, code, message };
}

/** From worst to best: a build has the first of these that one of its results has. */
const ranking = ["error", "interrupted", "failed", "built"];

function stateOf(
  results: readonly ResultRow[],
  failure: string | undefined,
  isWhole: boolean,
): string {
  if (failure !== undefined) return "error";
  if (!isWhole) return "interrupted";
  const states = new Set(results.map(({ state }) => state));
  return ranking.find((state) => states.has(state)) ?? "reused";
}

/** zb does not keep what a build was asked for: it must have been what nothing else in the build needs. */
function targetsOf(
  results: readonly ResultRow[],
  { references }: Pick<HistoryOptions, "references">,
): TargetRow[] {
  const needed = new Set(
    results.flatMap(({ drvPath }) => references(drvPath).filter((path) => path !== drvPath)),
  );
  return results
    .filter(({ drvPath }) => !needed.has(drvPath))
    .map(({ name, drvPath }) => ({ name, drvPath }));
}

function timesOf(result: ZbResult): number[] {
  const { startedAt, builderStartedAt, builderEndedAt, endedAt } = result;
  return [startedAt, builderStartedAt, builderEndedAt, endedAt].filter(
    (time) => time !== undefined,
  );
}

function classOf({ hash, output }: ZbClass): EquivalenceClass {
  return equivalenceClass(sha256Of(hash), output);
}

function sha256Of({ algorithm, bits }: ZbDerivationHash): Hash {
  if (algorithm === "sha256" && bits.length === 32) return Hash.of("sha256", bits);
  throw new KilnError("zb.hash", `a derivation hash is ${algorithm}, not SHA-256`);
}
