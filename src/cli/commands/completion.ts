/** `kiln completion`, and `kiln complete`, which the shells' scripts ask. */
import type { Command } from "commander";
import { evaluate } from "../../author/evaluate.ts";
import type { CommandContext } from "../context.ts";
import { recentBuilds } from "../builds.ts";
import { type Candidate, complete, type Completion, matching } from "../completion/complete.ts";
import { completionScript, shells } from "../completion/scripts.ts";
import { configurationFiles, loadConfiguration } from "../configuration.ts";
import { openStore, type StoreConnection, type Wishes } from "../connection.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { list, shortID } from "../text.ts";
import { evaluationOptions } from "../wanted.ts";
import { KilnError } from "../../util/kiln-error.ts";

export async function completion([name = ""]: readonly string[]): Promise<void> {
  const shell = shells.find((one) => one === name);
  if (shell === undefined) {
    throw new KilnError("usage.value", `there is no completion for "${name}"`, {
      hint: `kiln completion ${shells.join("|")}`,
    });
  }
  process.stdout.write(completionScript(shell));
}

/** How long the daemon and a build file have to answer, in milliseconds: somebody waits with a finger on the key. */
const patience = 3000;

/** Answers the shells' scripts. Whatever goes wrong, there is just nothing to propose. */
export async function answerShell(
  program: Command,
  words: readonly string[],
  context: CommandContext,
): Promise<void> {
  const found = complete(program, words);
  const answer = await Promise.race([
    lookUp(found, words.at(-1) ?? "", context).catch(() => []),
    new Promise<[]>((resolve) => setTimeout(() => resolve([]), patience).unref()),
  ]);
  process.stdout.write(`${answer.join("\n")}\n`);
}

async function lookUp(
  found: Completion,
  word: string,
  context: CommandContext,
): Promise<readonly string[]> {
  if (found.type === "files" || found.type === "directories") {
    return [`${found.type} ${found.prefix}`.trimEnd()];
  }
  if (found.type === "targets") {
    return linesOf(matching(await targetsOf(found.file, context), word));
  }
  if (found.type === "builds") {
    return linesOf(matching(await buildsOf(found.names, context), word));
  }
  if (found.type === "roots") return linesOf(matching(await rootsOf(context), word));
  return linesOf(found);
}

function linesOf(found: Completion): string[] {
  const candidates = found.type === "words" ? found.candidates : [];
  const lines = candidates.map(({ text, description = "" }) =>
    description === "" ? text : `${text}\t${description}`,
  );
  return ["words", ...lines];
}

async function targetsOf(file: string, context: CommandContext): Promise<Candidate[]> {
  const settings = settingsFrom(await flagsFrom(context), context.env);
  const place = file === "" ? "." : file;
  await using evaluation = await evaluate({
    ...evaluationOptions({}, settings, { note: () => {} }),
    file: place,
    targets: [],
  });
  return evaluation
    .targets()
    .filter(({ name }) => name !== "")
    .map(({ name, kind }) => ({ text: `${file}#${name}`, description: kind }));
}

/** How many builds are looked through for names of what has a log. */
const buildsWithNames = 10;

async function buildsOf(names: boolean, context: CommandContext): Promise<Candidate[]> {
  // Only what runs can be watched or ended; what was built is remembered without a daemon.
  await using connection = await quietly(context, { daemonOnly: !names });
  const { client } = connection;
  const builds = await recentBuilds(client, { limit: 50 });
  const ids = builds.map(({ id, state, targets }) => ({
    text: shortID(id),
    description: `${state}: ${list(
      targets.map(({ name }) => name),
      3,
    )}`,
  }));
  if (!names) return ids;
  const newest = builds.slice(0, buildsWithNames);
  const answers = await Promise.all(
    newest.map(async ({ id }) => await client.call("kiln.results", { buildID: id })),
  );
  const logged = answers.flatMap(({ results }) => results.filter(({ logSize }) => logSize > 0));
  return [...new Set(logged.map(({ name }) => name))].map((text) => ({ text })).concat(ids);
}

async function rootsOf(context: CommandContext): Promise<Candidate[]> {
  await using connection = await quietly(context);
  const { roots } = await connection.client.call("kiln.roots", {});
  return roots.map(({ name, path }) => ({ text: name, description: path }));
}

/** The store, if it can be had while somebody waits with a finger on the key. */
async function quietly(context: CommandContext, wishes: Wishes = {}): Promise<StoreConnection> {
  const silent = { ...context, note: () => {} };
  const signal = AbortSignal.timeout(patience);
  const settings = settingsFrom(await flagsFrom(context), context.env);
  return await openStore(settings, silent, { ...wishes, signal });
}

async function flagsFrom({ env }: CommandContext): Promise<GlobalFlags> {
  return { configuration: await loadConfiguration(configurationFiles(env, [])) };
}
