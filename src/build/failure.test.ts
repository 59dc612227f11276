import assert from "node:assert/strict";
import { test } from "node:test";
import { KilnError } from "../util/kiln-error.ts";
import type { BuildOutcome } from "./executor.ts";
import { shortfallOf, shortfallOfError } from "./failure.ts";

const lines: [outcome: BuildOutcome, line: string | undefined][] = [
  [{ type: "exited", code: 0 }, undefined],
  [{ type: "exited", code: 2 }, "*** Build failed: exit status 2"],
  [{ type: "signaled", signal: "SIGKILL" }, "*** Build failed: signal: killed"],
  [{ type: "signaled", signal: "SIGSEGV" }, "*** Build failed: signal: segmentation fault"],
  [{ type: "signaled", signal: "SIG40" }, "*** Build failed: signal: signal 40"],
  [{ type: "notStarted", message: "fork/exec /x: no" }, "*** Build failed: fork/exec /x: no"],
  [{ type: "failed", code: "fetch.http", message: "404" }, "*** Build failed: builtin:x failed"],
  [
    { type: "failed", code: "builtin.unknown", message: 'builtin "x" not found' },
    '*** Build failed: builtin "x" not found',
  ],
];
for (const [outcome, line] of lines) {
  test(`${JSON.stringify(outcome)} ends the log with ${line ?? "nothing"}`, () => {
    assert.equal(shortfallOf(outcome, "builtin:x")?.logLine, line);
  });
}

test("what helps is said to people, and not in the log", () => {
  const outcome = { type: "notStarted", message: "fork/exec /x: no", remedy: "add y" } as const;
  const shortfall = shortfallOf(outcome, "/x");
  assert.equal(shortfall?.failure.message, "fork/exec /x: no: add y");
  assert.equal(shortfall?.logLine, "*** Build failed: fork/exec /x: no");
  const exit = shortfallOf({ type: "exited", code: 127, remedy: "add y" }, "/x");
  assert.equal(exit?.failure.message, "builder exited with status 127: add y");
  assert.equal(exit?.logLine, "*** Build failed: exit status 127");
});

const errors: [error: unknown, state: string, line: string][] = [
  [new KilnError("ca.mismatch", "wrong", { kind: "builder" }), "failed", "*** Build failed: wrong"],
  [new KilnError("store.missing", "gone"), "error", "zb internal error: build /d: gone"],
  [
    new KilnError("file.type", "a\u001b[2J\nkiln: built", { kind: "builder" }),
    "failed",
    "*** Build failed: a\\u001b[2J\\nkiln: built",
  ],
  [new Error("a defect"), "error", "zb internal error: build /d: a defect"],
  [
    new KilnError("build.cancelled", "cancelled by x", { kind: "internal" }),
    "cancelled",
    "*** Build failed: cancelled by x",
  ],
  [
    new KilnError("build.interrupted", "the end", { kind: "internal" }),
    "interrupted",
    "*** Build failed: the end",
  ],
];
for (const [error, state, line] of errors) {
  test(`${String(error)} makes a result ${state}`, () => {
    const shortfall = shortfallOfError(error, "/d");
    assert.deepEqual([shortfall.state, shortfall.logLine], [state, line]);
  });
}
