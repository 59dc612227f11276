/** `kiln store list`, `closure`, `tree` and `why-depends`: what is in the store, how large it is, and what holds together. */
import { digestOf, objectNameOf, type StorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { mentionsIn } from "../mentions.ts";
import { type ObjectGraph, sizeLines, treeLines } from "../object-graph.ts";
import { wantsAscii } from "../progress/style.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { allObjects, fetchGraph, objectsMeant } from "../store-objects.ts";
import { count, list, size } from "../text.ts";

export interface ListFlags {
  readonly json?: boolean;
  readonly paths?: boolean;
  readonly sort?: "path" | "size";
}

interface Listed {
  readonly path: StorePath;
  readonly narSize: number;
}

export async function storeList(
  _operands: readonly string[],
  flags: ListFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  sayObjects(await allObjects(connection), flags, context);
}

export interface ClosureFlags extends ListFlags {
  readonly referrers?: boolean;
}

export async function storeClosure(
  operands: readonly string[],
  flags: ClosureFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const paths = objectsMeant(connection, connection.settings.directory, operands);
  const graph = await fetchGraph(connection, paths, { referrers: flags.referrers ?? false });
  sayObjects([...graph.nodes.values()], flags, context);
}

export interface TreeFlags {
  readonly depth?: number;
  readonly json?: boolean;
  readonly referrers?: boolean;
}

export async function storeTree(
  operands: readonly string[],
  flags: TreeFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const { depth, json = false, referrers = false } = flags;
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const paths = objectsMeant(connection, connection.settings.directory, operands);
  const graph = await fetchGraph(connection, paths, { referrers });
  if (json) {
    for (const node of sorted([...graph.nodes.values()])) {
      const closureSize = referrers ? undefined : graph.closureSize(node.path);
      say(JSON.stringify({ ...node, closureSize }));
    }
    return;
  }
  const shown = referrers ? graph.reversed() : graph;
  const label = (path: StorePath): string => {
    const own = size(graph.nodes.get(path)?.narSize ?? 0);
    if (referrers) return `  ${own}`;
    const whole = size(graph.closureSize(path));
    return whole === own ? `  ${own}` : `  ${own}, with references ${whole}`;
  };
  const ascii = wantsAscii(context.env);
  for (const path of paths) {
    for (const line of treeLines(shown, path, { depth, ascii, label })) say(line);
  }
}

export interface WhyFlags {
  readonly all?: boolean;
  readonly files?: boolean;
  readonly json?: boolean;
}

export async function storeWhyDepends(
  operands: readonly string[],
  flags: WhyFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const { all = false, json = false } = flags;
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const { directory } = connection.settings;
  const [from, to] = objectsMeant(connection, directory, operands);
  if (from === undefined || to === undefined) throw new Error("two operands are asked for");
  const graph = await fetchGraph(connection, [from]);
  const chain = graph.chain(from, to);
  if (chain === undefined) {
    if (!json) throw new KilnError("depends.not", `${from} does not depend on ${to}`);
    say(JSON.stringify({ from, to, chain: [], references: [] }));
    throw new ExitWith(1);
  }
  const part = all ? graph.between(from, to) : onlyChain(graph, chain);
  const mentions = new Map<string, readonly string[]>();
  if (flags.files === true) {
    const real = connection.hello?.realStoreDirectory ?? directory;
    for (const [a, b] of edges(part)) {
      mentions.set(`${a} ${b}`, await mentionsIn(`${real}/${objectNameOf(a)}`, digestOf(b)));
    }
  }
  if (json) {
    const references = edges(part).map(([referrer, reference]) => ({
      referrer,
      reference,
      files: mentions.get(`${referrer} ${reference}`),
    }));
    say(JSON.stringify({ from, to, chain, references }));
    return;
  }
  const notes = (a: StorePath, b: StorePath): string[] => {
    const files = mentions.get(`${a} ${b}`) ?? [];
    return files.length === 0 ? [] : [`in ${list(files, 5)}`];
  };
  const ascii = wantsAscii(context.env);
  for (const line of treeLines(part, from, { ascii, notes })) say(line);
}

/** The objects of a chain, each referring to the next one only. */
function onlyChain(graph: ObjectGraph, chain: readonly StorePath[]): ObjectGraph {
  const next = new Map(chain.map((path, i) => [path, chain.slice(i + 1, i + 2)]));
  return graph.with((path) => next.get(path));
}

function edges(graph: ObjectGraph): [StorePath, StorePath][] {
  return [...graph.nodes.keys()].flatMap((path) =>
    graph.references(path).map((reference): [StorePath, StorePath] => [path, reference]),
  );
}

function sayObjects(objects: readonly Listed[], flags: ListFlags, context: CommandContext): void {
  const { json = false, paths = false, sort = "path" } = flags;
  const inOrder = sorted(objects, sort);
  if (json) for (const object of inOrder) say(JSON.stringify(object));
  else if (paths) for (const { path } of inOrder) say(path);
  else for (const line of sizeLines(inOrder)) say(line);
  if (json || paths) return;
  const bytes = objects.reduce((sum, { narSize }) => sum + narSize, 0);
  context.note(`${count(objects.length, "object")}, ${size(bytes)}`);
}

/** By path, or the largest first. */
function sorted<T extends Listed>(objects: readonly T[], by: "path" | "size" = "path"): T[] {
  return objects.toSorted((a, b) => (by === "size" ? b.narSize - a.narSize : 0) || byPath(a, b));
}

function byPath(a: Listed, b: Listed): number {
  return a.path < b.path ? -1 : Number(a.path > b.path);
}
