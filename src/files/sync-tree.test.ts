import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { freeze } from "./freeze.ts";
import { syncTree } from "./sync-tree.ts";

describe("syncing a tree", () => {
  test("takes every file and directory, frozen or not, and passes by the rest", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-sync-");
    const root = join(temp.path, "root");
    for (let i = 0; i < 5; i++) {
      mkdirSync(join(root, `d${i}`), { recursive: true });
      for (let j = 0; j < 20; j++) writeFileSync(join(root, `d${i}`, `f${j}`), "x");
    }
    symlinkSync("nowhere", join(root, "link"));
    await syncTree(root);
    await freeze(root);
    await syncTree(root);
    await syncTree(join(root, "d0", "f0"));
    execFileSync("mkfifo", [join(temp.path, "fifo")]);
    await syncTree(temp.path);
  });

  test("fails when something cannot be synced, and leaves no descriptor open", async () => {
    const before = readdirSync("/proc/self/fd").length;
    await assert.rejects(syncTree(join(tmpdir(), "kiln-there-is-no-such-file")), (thrown) => {
      return hasCode(thrown, "file.missing");
    });
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });
});
