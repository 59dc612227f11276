import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BuildLog } from "../build/build-log.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { likelyCause } from "./likely-cause.ts";
import { LogLines, maxLineLength } from "./log-lines.ts";
import { searchLog } from "./log-search.ts";

async function withLog<T>(
  text: string | Uint8Array,
  use: (log: LogLines, path: string) => Promise<T>,
): Promise<T> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-log-");
  const path = join(folder.path, "a.txt");
  using written = new BuildLog(path);
  written.write(Buffer.from(text));
  written.finish();
  await using log = await LogLines.open(path);
  return await use(log, path);
}

const numbered = Array.from({ length: 3500 }, (_, i) => `line ${i + 1}`);

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

describe("a search", () => {
  const task = { isPattern: false, isCaseSensitive: false, from: 1, limit: 100 };

  test("finds every match, twice in a line too, whatever their case and colours", async () => {
    const text = "Error one\nnothing\nan err\u001b[31mor\u001b[0m and an ERROR\nterror";
    await withLog(text, async (_log, path) => {
      const { ticks, ...found } = await searchLog({ ...task, path, text: "error" });
      assert.deepEqual(found, { total: 4, before: 0, lines: [1, 3, 3, 4] });
      assert.equal(
        ticks.reduce((sum, tick) => sum + tick, 0),
        3,
      );
    });
  });

  test("counts all and tells a part", async () => {
    await withLog(numbered.join("\n"), async (_log, path) => {
      const found = await searchLog({ ...task, path, text: "line 3", from: 3400, limit: 5 });
      const matching = numbered.map((line, i) => (line.includes("line 3") ? i + 1 : 0));
      const lines = matching.filter((n) => n > 0);
      assert.equal(found.total, lines.length);
      assert.equal(found.before, lines.filter((n) => n < 3400).length);
      assert.deepEqual(found.lines, lines.filter((n) => n >= 3400).slice(0, 5));
    });
  });

  test("takes regular expressions, and says what is wrong with one", async () => {
    await withLog(numbered.join("\n"), async (_log, path) => {
      const found = await searchLog({ ...task, path, text: "^LINE [12]$", isPattern: true });
      assert.deepEqual(found.lines, [1, 2]);
      await assert.rejects(searchLog({ ...task, path, text: "(", isPattern: true }), {
        code: "log.pattern",
      });
    });
  });
});

describe("the likely cause", () => {
  test("is the first line near the end that looks like an error", async () => {
    const text = `ok\n\u001b[31msrc/a.ts(1,2): error TS2304\u001b[0m: no\nnpm error code 2\n*** Build failed: exit status 2\n`;
    await withLog(text, async (log) =>
      assert.deepEqual(await likelyCause(log), {
        isError: true,
        lines: [{ number: 2, text: "src/a.ts(1,2): error TS2304: no" }],
      }),
    );
  });
  test("is else the last lines, without Kiln's own", async () => {
    await withLog("a\nb\n*** Build failed: exit status 2\n", async (log) =>
      assert.deepEqual(await likelyCause(log), {
        isError: false,
        lines: [
          { number: 1, text: "a" },
          { number: 2, text: "b" },
        ],
      }),
    );
  });
  test("of an empty log is unknown", async () => {
    await withLog("", async (log) => assert.equal(await likelyCause(log), undefined));
  });
});
