// The commands of the documents are run, each document from its beginning to its end in a world and a checkout of its own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  type Block,
  blocksOf,
  commandsOf,
  documents,
  readDocument,
  root,
} from "./support/document.ts";
import { needsZb } from "./support/peers.ts";
import { installs, limit, Reader } from "./support/reader.ts";
import { needsPackages } from "./support/registry.ts";
import { needsWorld } from "./support/world.ts";

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
function runDocument(document: string, blocks: readonly Block[]): void {
  describe(document, { skip: needsWorld, concurrency: 1 }, () => {
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

const all = documents
  .map((document) => ({ document, blocks: blocksOf(readDocument(document)) }))
  .filter(({ blocks }) => blocks.length > 0);
const isOurs = ({ runBy }: Block): boolean => runBy === undefined;

// Two at a time: much of it is waiting for processes to begin.
describe("the documents", { concurrency: 2 }, () => {
  for (const { document, blocks } of all) {
    if (blocks.some(isOurs)) runDocument(document, blocks.filter(isOurs));
  }
});

for (const { document, blocks } of all) {
  for (const block of blocks) {
    const { line, runBy } = block;
    if (runBy === undefined) continue;
    test(`${document}: line ${line} is run by ${runBy}`, () => {
      const text = readFileSync(join(root, runBy), "utf8");
      if (runBy === ".ci/run") {
        for (const command of commandsOf(block)) assert.ok(text.split("\n").includes(command));
      } else assert.match(text, /\bblocksRunBy\(import\.meta\.url\)/);
    });
  }
}

test("the documents' commands are found", () => {
  const ours = all.flatMap(({ blocks }) => blocks.filter(isOurs));
  assert.ok(ours.length > 60, `${ours.length}`);
});
