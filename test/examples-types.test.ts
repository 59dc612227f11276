// The examples are what people copy, so they have to be right for the compiler, too.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

for (const project of ["examples", "examples/greeter/app"]) {
  test(`${project} has no type errors`, () => {
    const compiler = "node_modules/typescript/bin/tsc";
    const ended = spawnSync(process.execPath, [compiler, "-p", project, "--noEmit"], {
      cwd: root,
      encoding: "utf8",
    });
    assert.equal(ended.stdout + ended.stderr, "");
    assert.equal(ended.status, 0);
  });
}
