import assert from "node:assert/strict";
import { test } from "node:test";
import { countRemembered, refuseTooMany } from "./crowding.ts";

function build(size: number, user?: string): Parameters<typeof refuseTooMany>[0] {
  return { user, graph: { nodes: { size } } };
}

test("one user has at most 200,000 derivations in builds under way, and others have theirs", () => {
  const running = [build(99_999, "uid 1"), build(100_000, "uid 1"), build(9_000_000, "uid 2")];
  refuseTooMany(build(1, "uid 1"), running);
  assert.throws(() => refuseTooMany(build(2, "uid 1"), running), {
    code: "build.tooMany",
    message: "uid 1 has 2 builds under way, with this one of 200001 derivations",
  });
  refuseTooMany(build(2, "uid 3"), running);
  refuseTooMany(build(2), running);
});

test("a single build may have more", () => {
  refuseTooMany(build(300_000, "uid 1"), []);
  assert.throws(() => refuseTooMany(build(1, "uid 1"), [build(300_000, "uid 1")]), {
    code: "build.tooMany",
  });
});

test("builds that ended are remembered by number and by size, the last one always", () => {
  assert.equal(countRemembered([]), 0);
  assert.equal(countRemembered(Array.from({ length: 20 }, () => build(3))), 16);
  assert.equal(countRemembered([build(1), build(30_000), build(20_000), build(10_000)]), 2);
  assert.equal(countRemembered([build(1), build(1_000_000)]), 1);
});
