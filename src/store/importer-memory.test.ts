import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { temporaryDirectory } from "../util/temp.ts";

const child = new URL("./importer-memory.test.child.ts", import.meta.url).pathname;

test("an object of 1 GiB is imported in less than 300 MiB of memory", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-memory-");
  const { stdout, stderr } = spawnSync(process.execPath, [child, folder.path, "1024"], {
    encoding: "utf8",
  });
  const [status, memory] = stdout.trim().split(" ");
  assert.equal(status, "imported", stderr);
  assert.ok(Number(memory) > 30 && Number(memory) < 300, `${memory} MiB`);
});
