/**
 * The child process: loads one build file, tells the client what is wanted, sends the objects the client misses. It reads and
 * writes synchronously; while it waits there is nothing else to do. See messages.ts for who says what.
 */
import { Buffer } from "node:buffer";
import module from "node:module";
import { closeSync, readSync, writeSync } from "node:fs";
import { dirname, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { parseStoreDirectory } from "../format/store-path.ts";
import { configure, context } from "./context.ts";
import { describeFailure } from "./failure.ts";
import { codeOf } from "../util/code-of.ts";
import { Fault } from "./fault.ts";
import { installGuards } from "./guards.ts";
import { installHooks, type LoadedModules } from "./hooks.ts";
import type { StoreItem } from "./item.ts";
import {
  messageDescriptor,
  streamDescriptor,
  type Instructions,
  type Report,
  type Wish,
} from "./messages.ts";
import { goOffline } from "./offline.ts";
import { fileName } from "./place.ts";
import { closureOf, exportItems } from "./plan.ts";
import { placeInSource } from "./syntax.ts";
import { Selection } from "./selection.ts";
import { listTargets } from "./targets.ts";

const readLine = lineReader(messageDescriptor);
const instructions: Instructions = JSON.parse(readLine());
Error.stackTraceLimit = 40;
configure({
  storeDirectory: parseStoreDirectory(instructions.storeDirectory),
  env: new Map(Object.entries(instructions.env)),
  forbiddenEnv: new Set(instructions.forbiddenEnv),
  cacheDirectory: instructions.cacheDirectory,
  ...(instructions.system !== undefined && { system: instructions.system }),
});
const loaded = installHooks(instructions.file, context().warn);
installGuards();
goOffline();

// A promise that nobody keeps leaves the process with nothing to do.
process.once("beforeExit", () => {
  void reportUnfinished();
});
process.once("exit", () => {
  say(describeFailure(new Fault("author.exit", "the build file ended the process")));
});
process.on("uncaughtException", fail);

try {
  const items = await run();
  answer(items);
} catch (error) {
  fail(error);
}

/** Evaluates and tells the plan; the objects in it, references first. */
async function run(): Promise<ReadonlyMap<string, StoreItem>> {
  const { file, shownFile, location, targets, args } = instructions;
  const exports: Readonly<Record<string, unknown>> = await import(pathToFileURL(file).href);
  const wanted = await new Selection(exports, { file: shownFile, location }, args).select(targets);
  const items = closureOf(wanted.map(({ item }) => item));
  const indices = new Map(items.map(({ path }, i) => [path, i] as const));
  say({
    type: "plan",
    wanted: wanted.map(({ item, ...rest }) => ({ ...rest, drvPath: item.path })),
    targets: await listTargets(exports),
    objects: items.map(({ path, references }) => ({
      path,
      references: references.map((item) => indices.get(item.path) ?? -1),
    })),
    modules: [...loaded.files],
    filesRead: [...context().filesRead],
  });
  // While the client asks the store. It may have no more to say, and end this process.
  module.flushCompileCache();
  return new Map(items.map((item) => [item.path, item]));
}

/** Waits for the client to say what it misses, sends it, and ends. */
function answer(items: ReadonlyMap<string, StoreItem>): never {
  const wish: Wish = JSON.parse(readLine());
  const missing = new Set(wish.missing);
  const wanted = [...items.values()].filter(({ path }) => missing.has(path));
  const parts: Buffer[] = [];
  let length = 0;
  for (const chunk of exportItems(wanted)) {
    parts.push(chunk);
    length += chunk.length;
    if (length < 65_536) continue;
    write(streamDescriptor, Buffer.concat(parts.splice(0)));
    length = 0;
  }
  write(streamDescriptor, Buffer.concat(parts));
  return leave(0);
}

function fail(error: unknown): never {
  say(describeFailure(error, [...loaded.files].at(-1)));
  return leave(1);
}

/** Ends the process for good, whatever the build file left running. */
function leave(status: number): never {
  process.removeAllListeners("exit");
  closeSync(streamDescriptor);
  process.exit(status);
}

/** Nobody is listening any more. */
function abandoned(): never {
  process.removeAllListeners("exit");
  process.exit(1);
}

function say(report: Report): void {
  write(messageDescriptor, Buffer.from(`${JSON.stringify(report)}\n`));
}

function write(descriptor: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      // The client is gone.
      if (codeOf(error) === "EPIPE") return abandoned();
      throw error;
    }
  }
}

/** A function that reads the next line; the process ends when there is none, as then the client is gone. */
function lineReader(descriptor: number): () => string {
  let rest = Buffer.alloc(0);
  const chunk = Buffer.allocUnsafe(65_536);
  return () => {
    const parts: Buffer[] = [];
    for (;;) {
      const end = rest.indexOf(10);
      if (end !== -1) {
        parts.push(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
        return Buffer.concat(parts).toString("utf8");
      }
      parts.push(rest);
      const length = readSync(descriptor, chunk);
      if (length === 0) return abandoned();
      rest = Buffer.from(chunk.subarray(0, length));
    }
  };
}

async function reportUnfinished(): Promise<never> {
  const file = await unfinishedModule(instructions.file, loaded);
  const name = relative(dirname(instructions.file), file);
  const place = placeInSource(file, (source) => source.search(/\bawait\b/));
  return fail(
    new Fault("author.unfinished", `a top-level await in ${name} never finishes`, { place }),
  );
}

/** The module whose own code never ends: it has not finished, though all it imports has. */
async function unfinishedModule(file: string, { imports }: LoadedModules): Promise<string> {
  const start = pathToFileURL(file).href;
  const seen = new Set<string>();
  const search = async (url: string): Promise<string | undefined> => {
    if (seen.has(url) || (await isFinished(url))) return undefined;
    seen.add(url);
    for (const imported of imports.get(url) ?? []) {
      const inner = await search(imported);
      if (inner !== undefined) return inner;
    }
    return url;
  };
  return fileName((await search(start)) ?? start);
}

async function isFinished(url: string): Promise<boolean> {
  const unfinished = Symbol("unfinished");
  const later = new Promise((resolve) => setTimeout(resolve, 10, unfinished));
  return (await Promise.race([import(url), later])) !== unfinished;
}
