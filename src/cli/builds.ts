/** Builds by what people call them: a part of their id, or the name of something that was built. */
import type { StoreClient } from "../rpc/client.ts";
import type { BuildSummaryMessage, KilnResultMessage } from "../rpc/protocol.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { CommandContext } from "./context.ts";
import { list, nearest, shortID } from "./text.ts";

/** How many builds are looked through. */
const remembered = 1000;

/** Whether a word can be a part of a build's id: 6 or more of its characters. */
export function looksLikeID(word: string): boolean {
  return /^[0-9a-f-]{6,36}$/.test(word);
}

/** The builds whose id begins or ends with `word`. */
export function matching(
  builds: readonly BuildSummaryMessage[],
  word: string,
): BuildSummaryMessage[] {
  if (!looksLikeID(word)) return [];
  return builds.filter(({ id }) => id.startsWith(word) || id.endsWith(word));
}

/** The last builds, newest first; `running`: only those that have not ended. */
export async function recentBuilds(
  client: StoreClient,
  {
    limit = remembered,
    running = false,
  }: { readonly limit?: number; readonly running?: boolean } = {},
): Promise<readonly BuildSummaryMessage[]> {
  return (await client.call("kiln.builds", { limit, running })).builds;
}

/**
 * The one build that is meant.
 *
 * @throws KilnError `build.unknown`, `build.ambiguous`
 */
export function oneBuild(
  builds: readonly BuildSummaryMessage[],
  word: string,
  { kiln }: Pick<CommandContext, "kiln">,
): BuildSummaryMessage {
  const [first, ...more] = matching(builds, word);
  if (first === undefined) {
    const listed = kiln("ps -a");
    const hint = looksLikeID(word)
      ? listed
      : `its id, or the last 6 or more characters of it: ${listed}`;
    throw new KilnError("build.unknown", `no build ${word}`, { hint });
  }
  if (more.length > 0) {
    throw new KilnError("build.ambiguous", `${more.length + 1} builds have ids like ${word}`, {
      hint: list([first, ...more].map(({ id }) => id)),
    });
  }
  return first;
}

/** A result with the build it belongs to. */
export interface FoundResult {
  readonly build: BuildSummaryMessage;
  readonly result: KilnResultMessage;
}

/**
 * The result that is meant: of one build, or without it the newest one of that name that has a log.
 *
 * @throws KilnError `build.…`, `result.unknown`
 */
export async function findResult(
  client: StoreClient,
  words: readonly [string] | readonly [string, string],
  context: CommandContext,
): Promise<FoundResult> {
  const builds = await recentBuilds(client);
  const [first, second] = words;
  if (second !== undefined) return await resultOf(client, oneBuild(builds, first, context), second);
  if (matching(builds, first).length > 0) {
    return await onlyResult(client, oneBuild(builds, first, context), context);
  }
  let reused: FoundResult | undefined;
  const names = new Set<string>();
  for (const build of builds) {
    const { results } = await client.call("kiln.results", { buildID: build.id });
    const result = named(results, first);
    for (const { name } of results) names.add(name);
    if (result === undefined) continue;
    if (result.state !== "reused") return { build, result };
    reused ??= { build, result };
  }
  if (reused !== undefined) return reused;
  const near = nearest(first, [...names]);
  throw new KilnError("result.unknown", `no build or result "${first}" is remembered`, {
    hint: context.kiln(near === undefined ? "ps -a" : `log ${near}`),
  });
}

async function resultOf(
  client: StoreClient,
  build: BuildSummaryMessage,
  name: string,
): Promise<FoundResult> {
  const { results } = await client.call("kiln.results", { buildID: build.id });
  const result = named(results, name);
  if (result !== undefined) return { build, result };
  const names = results.map((other) => other.name);
  if (names.length === 0) {
    const what = `build ${shortID(build.id)} ended before it had any results`;
    throw new KilnError("result.unknown", what, { path: build.id });
  }
  const near = nearest(name, names);
  throw new KilnError("result.unknown", `build ${shortID(build.id)} has no result "${name}"`, {
    hint: near ?? list(names, 8),
  });
}

/** The result of a build that has only one, or the only one that went wrong. */
async function onlyResult(
  client: StoreClient,
  build: BuildSummaryMessage,
  { kiln }: CommandContext,
): Promise<FoundResult> {
  const { results } = await client.call("kiln.results", { buildID: build.id });
  const withLog = results.filter(({ logSize }) => logSize > 0);
  const wrong = withLog.filter(({ state }) => state === "failed" || state === "error");
  for (const candidates of [results, withLog, wrong]) {
    const [result, ...more] = candidates;
    if (result !== undefined && more.length === 0) return { build, result };
  }
  throw new KilnError("result.ambiguous", `build ${shortID(build.id)} has several logs`, {
    hint: `${kiln(`log ${shortID(build.id)} NAME`)}, one of ${list(
      (withLog.length > 0 ? withLog : results).map(({ name }) => name),
      8,
    )}`,
  });
}

function named(results: readonly KilnResultMessage[], name: string): KilnResultMessage | undefined {
  return results.find((result) => result.name === name || result.drvPath === name);
}
