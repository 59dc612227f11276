import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { testStore } from "./store.test.support.ts";

test("what a predecessor left is out of the way when the store is open, and gone when that is waited for", async ({
  mock,
}) => {
  // A moment that does not come by itself.
  mock.timers.enable({ apis: ["setTimeout"] });
  await using context = await testStore();
  const [tmp = "", trash = ""] = ["tmp", "trash"].map((name) => join(context.real, ".kiln", name));
  await context.store.close();
  mkdirSync(join(tmp, "import-x"));
  writeFileSync(join(tmp, "import-x", "half"), "");
  await context.reopen();
  assert.deepEqual(readdirSync(tmp), []);
  // Removing it is work, and so comes after the start.
  assert.equal(readdirSync(trash).length, 1);
  await context.store.close();
  assert.deepEqual(readdirSync(trash), []);
});
