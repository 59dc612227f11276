/** Builds and results as the protocol shows them. */
import type {
  BuildMessage,
  BuildResultMessage,
  BuildSummaryMessage,
  ExpansionMessage,
  KilnResultMessage,
  OutputMessage,
} from "../rpc/protocol.ts";
import type { StorePath } from "../format/store-path.ts";
import type { BuildRow, ResultRow } from "../store/database/builds.ts";
import type { RealizationSignature } from "../store/database/realizations.ts";
import { buildStateOf, resultStateOf, wireStatus } from "./events.ts";

/** Signatures of the realisation that an output of a result is. */
export type SignaturesOf = (
  result: ResultRow,
  output: string,
  path: StorePath,
) => readonly RealizationSignature[];

/** What `zb.getBuild` says of a build that is not known. */
export function unknownBuild(id: string): BuildMessage {
  return { id, status: "unknown", startedAt: "0001-01-01T00:00:00Z", endedAt: null, results: [] };
}

/** What `zb.getBuildResult` says of a result that is not known. */
export function unknownResult(drvPath: StorePath): BuildResultMessage {
  return { drvPath, status: "unknown", outputs: [], logSize: 0, drvHash: null };
}

export function buildMessage(
  build: BuildRow,
  results: readonly ResultRow[],
  signaturesOf: SignaturesOf,
): BuildMessage {
  const expand: ExpansionMessage | undefined =
    build.expansion === undefined ? undefined : JSON.parse(build.expansion);
  return {
    id: build.id,
    status: wireStatus(buildStateOf(build.state)) ?? "error",
    startedAt: timeText(build.startedAt),
    endedAt: timeText(build.endedAt),
    results: results.flatMap((result) => resultMessage(result, signaturesOf) ?? []),
    ...(expand && { expand }),
  };
}

/** Undefined for a result that zb would not show. */
export function resultMessage(
  result: ResultRow,
  signaturesOf: SignaturesOf,
): BuildResultMessage | undefined {
  const status = wireStatus(resultStateOf(result.state));
  if (status === undefined) return undefined;
  return {
    drvPath: result.drvPath,
    status,
    outputs: outputMessages(result, signaturesOf),
    logSize: result.logSize ?? 0,
    drvHash: result.drvHash?.sri() ?? null,
  };
}

export function summaryMessage(
  build: BuildRow,
  counts: Readonly<Record<string, number>>,
): BuildSummaryMessage {
  return {
    id: build.id,
    status: wireStatus(buildStateOf(build.state)) ?? "error",
    state: build.state,
    startedAt: timeText(build.startedAt),
    endedAt: timeText(build.endedAt),
    targets: build.targets,
    counts,
    user: build.user ?? null,
  };
}

export function kilnResultMessage(
  result: ResultRow,
  signaturesOf: SignaturesOf,
): KilnResultMessage {
  const { drvPath, name, state, startedAt, endedAt, reason, failure } = result;
  const isStarted = state !== "waiting" && state !== "skipped";
  return {
    drvPath,
    name,
    state,
    status: wireStatus(resultStateOf(state)) ?? null,
    reason: reason === undefined ? null : reasonMessage(reason),
    startedAt: isStarted ? timeText(startedAt) : null,
    endedAt: timeText(endedAt),
    durationMs: isStarted && endedAt !== undefined ? Math.max(0, endedAt - startedAt) : null,
    outputs: outputMessages(result, signaturesOf),
    logSize: result.logSize ?? 0,
    executor: result.executor ?? null,
    isolation: result.isolation ?? null,
    drvHash: result.drvHash?.sri() ?? null,
    failure: failure ?? null,
  };
}

function reasonMessage(reason: NonNullable<ResultRow["reason"]>): {
  code: string;
  detail?: unknown;
} {
  if (reason.detail === undefined) return { code: reason.code };
  const detail: unknown = JSON.parse(reason.detail);
  return { code: reason.code, detail };
}

function outputMessages(result: ResultRow, signaturesOf: SignaturesOf): OutputMessage[] {
  return Array.from(result.outputs, ([name, path]) => ({
    name,
    path,
    signatures:
      path === null
        ? []
        : signaturesOf(result, name, path).map(({ publicKey, signature }) => ({
            format: "ed25519" as const,
            publicKey: publicKey.toString("base64"),
            signature: signature.toString("base64"),
          })),
  }));
}

function timeText(time: number): string;
function timeText(time: number | undefined): string | null;
function timeText(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}
