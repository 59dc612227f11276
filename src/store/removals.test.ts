import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as setTurn } from "node:timers";
import { setImmediate } from "node:timers/promises";
import { Removals } from "./removals.ts";

test("trees go after those who asked have gone on, others get their turn, and what cannot go is told of", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-removals-"));
  try {
    const faults: string[] = [];
    const removals = new Removals((message) => faults.push(message));
    const trees = Array.from({ length: 200 }, (_, i) => join(folder, String(i)));
    for (const [i, tree] of trees.entries()) {
      if (i % 2 === 0) writeFileSync(tree, "file");
      else mkdirSync(join(tree, "a", "b"), { recursive: true });
    }
    for (const tree of trees) removals.add(tree);
    removals.add(join(folder, "absent"));
    removals.add("/proc/self/status");
    await Promise.resolve();
    assert.ok(trees.every((tree) => existsSync(tree)));
    let turns = 0;
    let turning = setTurn(count);
    function count(): void {
      turns++;
      turning = setTurn(count);
    }
    await removals.settled();
    clearImmediate(turning);
    assert.ok(turns >= trees.length, `others had ${turns} turns`);
    assert.deepEqual(
      trees.filter((tree) => existsSync(tree)),
      [],
    );
    assert.equal(faults.length, 1);
    assert.match(faults[0] ?? "", /^cannot remove \/proc\/self\/status: /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what is to wait a while waits, unless somebody cannot wait for it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-removals-"));
  const removals = new Removals(() => assert.fail());
  removals.delay(60_000);
  removals.add(folder);
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  assert.ok(existsSync(folder));
  await removals.settled();
  assert.ok(!existsSync(folder));
});
