import assert from "node:assert/strict";
import { test } from "node:test";
import { Lookahead } from "./lookahead.ts";

test("builders are made ready ahead while they are short, and a few of them", () => {
  for (const [jobs, most] of [
    [1, 3],
    [2, 6],
    [16, 24],
  ] as const) {
    const lookahead = new Lookahead(jobs);
    assert.equal(lookahead.preparations.max, jobs);
    lookahead.ended(5);
    assert.equal(lookahead.preparations.max, most);
    lookahead.ended(2000);
    assert.equal(lookahead.preparations.max, jobs);
  }
});
