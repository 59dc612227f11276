/** Tests that run the commands of documents, each document from its beginning to its end in a world and a checkout of its own. */
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Block, blocksOf, documents, readDocument } from "./document.ts";
import { needsZb } from "./peers.ts";
import { installs, limit, Reader } from "./reader.ts";
import { needsPackages } from "./registry.ts";
import { needsWorld } from "./world.ts";

export interface Document {
  readonly file: string;
  readonly blocks: readonly Block[];
}

/** Those that have something to run. */
export const documentsWithBlocks: readonly Document[] = documents
  .map((file) => ({ file, blocks: blocksOf(readDocument(file)) }))
  .filter(({ blocks }) => blocks.length > 0);

/** Whether it is not run by a test of its own. */
export function isOurs({ runBy }: Block): boolean {
  return runBy === undefined;
}

/** Declares the tests. Two documents at a time: much of it is waiting for processes to begin. */
export function runDocuments(some: readonly Document[]): void {
  describe("the documents", { concurrency: 2 }, () => {
    for (const { file, blocks } of some) {
      if (blocks.some(isOurs)) runDocument(file, blocks.filter(isOurs));
    }
  });
}

/** Why a block cannot be run, or false. */
function obstacleOf(block: Block): string | false {
  if (installs(block)) return needsPackages;
  const { needs } = block;
  if (needs === undefined) return false;
  if (needs === "zb") return needsZb;
  const { status } = spawnSync("sh", ["-c", `command -v ${needs}`]);
  return status !== 0 && `${needs} is not here`;
}

/** Tests that run the blocks of a document, one after the other. */
function runDocument(file: string, blocks: readonly Block[]): void {
  describe(file, { skip: needsWorld, concurrency: 1 }, () => {
    let reader: Reader;
    before(async () => {
      reader = await Reader.arrive(blocks);
    });
    after(async () => await reader[Symbol.asyncDispose]());
    for (const block of blocks) {
      const { line, kind, commands, goesOn } = block;
      const [first = ""] = commands.split("\n");
      const what = kind === "hidden" ? "runs what is not shown" : `runs ${first}`;
      const skip = obstacleOf(block);
      test(`line ${line} ${what}`, { skip, timeout: limit + 10_000 }, async () => {
        if (goesOn === undefined) await reader.run(block);
        else await reader.start(block, goesOn);
      });
    }
  });
}
