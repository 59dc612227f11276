import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dumpNar } from "../files/dump.ts";
import { Hash } from "../format/hash.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { ReadingThread } from "./reading-thread.ts";

/** A tree with files that are larger than a piece, as large, and smaller. */
function makeTree(tree: string): void {
  mkdirSync(join(tree, "folder"), { recursive: true });
  for (const [i, size] of [3_000_001, 262_144, 262_143, 40_000, 100, 0, 700_000].entries()) {
    writeFileSync(join(tree, i % 2 === 0 ? "" : "folder", `file${i}`), randomBytes(size));
  }
}

function hashOf(chunks: Iterable<Buffer>): Hash {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk);
  return Hash.of("sha256", hash.digest());
}

for (const reuse of [false, true]) {
  test(`several trees are read at once, ${reuse ? "in memory that is used again" : "for good"}`, async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-reading-");
    await using thread = new ReadingThread();
    const trees = ["a", "b", "c"].map((name) => join(folder.path, name));
    for (const tree of trees) makeTree(tree);
    const read = async (tree: string): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        const kept: Buffer[] = [];
        const hash = createHash("sha256");
        const chunks = thread.read(tree, { reuse });
        for (;;) {
          const { done, value } = await chunks.next();
          if (done === true) {
            assert.ok(value.equals(hashOf(dumpNar(tree))));
            break;
          }
          hash.update(value);
          kept.push(value);
          // Others get what was given back meanwhile.
          await new Promise((resolve) => setImmediate(resolve));
        }
        const sent = Hash.of("sha256", hash.digest());
        assert.ok(sent.equals(hashOf(dumpNar(tree))));
        if (!reuse) assert.ok(hashOf(kept).equals(sent));
      }
    };
    await Promise.all(trees.map(read));
  });
}
