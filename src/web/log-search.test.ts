import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { numbered, withLog } from "../build/log-lines.test.support.ts";
import { searchLog } from "./log-search.ts";

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
