/** `kiln store list`, `closure`, `tree` and `why-depends`: what is in the store, how large it is, and what holds together. */
import { once } from "node:events";
import { digestOf, objectNameOf, type StorePath } from "../../format/store-path.ts";
import type { ListedObjectMessage } from "../../rpc/protocol.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { openStore } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { mentionsIn } from "../mentions.ts";
import { type ObjectGraph, sizeLine, treeLines } from "../object-graph.ts";
import { wantsAscii } from "../progress/style.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { allObjects, fetchGraph, objectsMeant } from "../store-objects.ts";
import { count, list, size } from "../text.ts";

export interface ListFlags {
  readonly json?: boolean;
  readonly paths?: boolean;
  readonly sort?: "path" | "size";
}

export async function storeList(
  _operands: readonly string[],
  flags: ListFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const total = { count: 0, narSize: 0 };
  for await (const objects of inOrder(allObjects(connection), flags)) {
    await sayObjects(objects, flags, total);
  }
  sayTotal(total, flags, context);
}

/** By path they come as they are asked for; by size all have to be there first. */
async function* inOrder(
  pages: AsyncIterable<readonly ListedObjectMessage[]>,
  { sort }: ListFlags,
): AsyncGenerator<readonly ListedObjectMessage[], void, undefined> {
  if (sort === "size") yield sorted((await Array.fromAsync(pages)).flat(), sort);
  else yield* pages;
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
  const total = { count: 0, narSize: 0 };
  await sayObjects(sorted([...graph.nodes.values()], flags.sort), flags, total);
  sayTotal(total, flags, context);
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

interface Total {
  count: number;
  narSize: number;
}

/** Resolves when whoever reads the output has taken it. */
async function sayObjects(
  objects: readonly ListedObjectMessage[],
  { json = false, paths = false }: ListFlags,
  total: Total,
): Promise<void> {
  const lineOf = (object: ListedObjectMessage): string =>
    json ? JSON.stringify(object) : paths ? object.path : sizeLine(object);
  let text = "";
  for (const object of objects) {
    text += `${lineOf(object)}\n`;
    total.count++;
    total.narSize += object.narSize;
  }
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}

function sayTotal(
  total: Total,
  { json = false, paths = false }: ListFlags,
  context: CommandContext,
): void {
  if (json || paths) return;
  context.note(`${count(total.count, "object")}, ${size(total.narSize)}`);
}

/** By path, or the largest first. */
function sorted<T extends ListedObjectMessage>(
  objects: readonly T[],
  by: "path" | "size" = "path",
): T[] {
  return objects.toSorted((a, b) => (by === "size" ? b.narSize - a.narSize : 0) || byPath(a, b));
}

function byPath(a: ListedObjectMessage, b: ListedObjectMessage): number {
  return a.path < b.path ? -1 : Number(a.path > b.path);
}
