// The commands of the documents are run: here those that need no checkout to be changed, and by other tests what is marked so.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { commandsOf, root } from "./support/document.ts";
import { needsCheckout } from "./support/reader.ts";
import { documentsWithBlocks, isOurs, runDocuments } from "./support/run-documents.ts";

runDocuments(documentsWithBlocks.filter(({ blocks }) => !needsCheckout(blocks)));

for (const { file, blocks } of documentsWithBlocks) {
  for (const block of blocks) {
    const { line, runBy } = block;
    if (runBy === undefined) continue;
    test(`${file}: line ${line} is run by ${runBy}`, () => {
      const text = readFileSync(join(root, runBy), "utf8");
      if (runBy === ".ci/run") {
        for (const command of commandsOf(block)) assert.ok(text.split("\n").includes(command));
      } else assert.match(text, /\bblocksRunBy\(import\.meta\.url\)/);
    });
  }
}

test("the documents' commands are found", () => {
  const ours = documentsWithBlocks.flatMap(({ blocks }) => blocks.filter(isOurs));
  assert.ok(ours.length > 60, `${ours.length}`);
});
