import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { LogLines, maxLineLength } from "./log-lines.ts";
import { numbered, withLog } from "./log-lines.test.support.ts";

describe("the lines of a log", () => {
  test("are counted, the last one also without an end", async () => {
    await withLog("a\nb\n", async (log) => assert.equal(await log.count(), 2));
    await withLog("a\nb", async (log) => assert.equal(await log.count(), 2));
    await withLog("\n", async (log) => assert.equal(await log.count(), 1));
    await withLog("", async (log) => assert.equal(await log.count(), 0));
  });

  test("are found by number, with and without an index", async () => {
    for (const hasIndex of [true, false]) {
      await withLog(numbered.join("\n"), async (_log, path) => {
        if (!hasIndex) writeFileSync(path.replace(/\.txt$/, ".lines"), "");
        await using log = await LogLines.open(path);
        assert.equal(await log.count(), 3500);
        for (const from of [1, 2, 999, 1000, 1001, 1999, 2000, 2001, 3499, 3500]) {
          const lines = await log.read(from, 3);
          assert.deepEqual(
            lines.map(({ number, text }) => `${number} ${text}`),
            [from, from + 1, from + 2].filter((n) => n <= 3500).map((n) => `${n} line ${n}`),
          );
          const [first] = lines;
          assert.equal(await log.lineAt(first?.offset ?? -1), from);
        }
        assert.deepEqual(await log.read(3501, 10), []);
      });
    }
  });

  test("are cut when they are long, and say how long they are", async () => {
    await withLog(`x\n${"é".repeat(20_000)}\ny\n`, async (log) => {
      const [, long, after] = await log.read(1, 10);
      assert.equal(long?.text.length, maxLineLength);
      assert.equal(long.isCut, true);
      assert.equal(long.length, 40_000);
      assert.deepEqual(after, { number: 3, text: "y", offset: 40_003, length: 1, isCut: false });
    });
  });

  test("show bytes that are not UTF-8 as such", async () => {
    await withLog(Uint8Array.of(0x61, 0xff, 0x62, 10), async (log) => {
      assert.equal((await log.read(1, 1))[0]?.text, "a\uFFFDb");
    });
  });
});

test("a log that is not there has no lines", async () => {
  await using log = await LogLines.open(join(tmpdir(), "kiln-there-is-no-such.txt"));
  assert.equal(await log.count(), 0);
  assert.deepEqual(await log.read(1, 10), []);
});
