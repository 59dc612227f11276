import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { likelyCause } from "./likely-cause.ts";
import { logEnd } from "./log-end.ts";
import { withLog } from "./log-lines.test.support.ts";

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
  for (const thrown of [
    "TypeError: x.y is not a function",
    "SyntaxError [ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX]: TypeScript enum is not supported",
    "Uncaught RangeError: too far",
    "subprocess.CalledProcessError: Command 'x' returned non-zero exit status 1.",
    "AssertionError",
  ]) {
    test(`is what was thrown, not the stack: ${thrown}`, async () => {
      const stack = "    at f (file:///build/x.ts:1:67)\n".repeat(12);
      const text = `TypeErrors and other words\nTraceback (most recent call last):\n${thrown}\n${stack}`;
      await withLog(text, async (log) =>
        assert.deepEqual(await likelyCause(log), {
          isError: true,
          lines: [{ number: 3, text: thrown }],
        }),
      );
    });
  }
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

describe("the end of a log", () => {
  const own = ["*** Build failed: exit status 2"];
  const leaving = (count: number): string => "make: leaving\n".repeat(count);

  for (const [what, text, cause] of [
    ["far before it", `one\nerror: two\n${leaving(30)}`, { number: 2, text: "error: two" }],
    ["just before it", `one\nerror: two\n${leaving(20)}`, { number: 2, text: "error: two" }],
    ["in it", `one\nerror: two\n${leaving(19)}`, undefined],
    ["nowhere", leaving(30), undefined],
  ] as const) {
    test(`has up to 20 lines of the builder's, and a cause that is ${what}`, async () => {
      await withLog(`${text}${own[0]}\n`, async (_log, path) => {
        const end = await logEnd(path, own);
        assert.equal(end.lastLines.length, 20);
        assert.deepEqual(end.cause, cause);
        assert.equal(end.lastLines[0] === "error: two", what === "in it");
        assert.equal(end.lastLines.at(-1), "make: leaving");
      });
    });
  }

  test("whose last line had no end is the same", async () => {
    const text = `error: one\n${leaving(19)}last${own[0]}\n`;
    await withLog(text, async (_log, path) => {
      const { cause, lastLines } = await logEnd(path, own);
      assert.deepEqual(cause, { number: 1, text: "error: one" });
      assert.equal(lastLines.at(-1), "last");
    });
  });

  test("that is not there is empty", async () => {
    assert.deepEqual(await logEnd("/nowhere/log.txt", own), { lastLines: [] });
  });
});
