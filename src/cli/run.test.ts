import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("a command that has nothing left to wait for before it has ended is a fault, not a success", () => {
  const script = `import(${JSON.stringify(new URL("run.ts", import.meta.url).href)})`;
  const args = ["--disable-warning=ExperimentalWarning", "-e", script];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /^kiln: fault: there was nothing left to wait for \[internal\]\n/);
});
