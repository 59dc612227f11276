import assert from "node:assert/strict";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../util/temp.ts";
import { compareTrees } from "./compare-trees.ts";

test("trees are compared by names, kinds, modes, contents and targets", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-compare-");
  const trees = ["old", "now"].map((name) => {
    const tree = join(folder.path, name);
    mkdirSync(join(tree, "same"), { recursive: true });
    writeFileSync(join(tree, "same/file"), "same");
    writeFileSync(join(tree, "contents"), `12${name}`);
    writeFileSync(join(tree, "mode"), "");
    writeFileSync(join(tree, "size"), name === "old" ? "1" : "123");
    symlinkSync(name, join(tree, "link"));
    return tree;
  });
  const [old = "", now = ""] = trees;
  chmodSync(join(old, "mode"), 0o444);
  chmodSync(join(now, "mode"), 0o555);
  writeFileSync(join(old, "gone"), "");
  writeFileSync(join(now, "new"), "");
  mkdirSync(join(old, "kind"));
  writeFileSync(join(now, "kind"), "");
  assert.deepEqual(
    Array.from(compareTrees(old, now), ({ path, kind, details }) => [path, kind, ...details]),
    [
      ["contents", "changed", "same size", "first at byte 2"],
      ["gone", "removed"],
      ["kind", "changed", "directory -> file"],
      ["link", "changed", "target old -> now"],
      ["mode", "changed", "mode 444 -> 555"],
      ["new", "added"],
      ["size", "changed", "size 1 -> 3 bytes", "first at byte 1"],
    ],
  );
  assert.deepEqual([...compareTrees(old, old)], []);
});

test("an object's own digest is no difference, wherever in a file it stands", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-compare-");
  const [a, b] = ["a".repeat(32), "b".repeat(32)];
  const write = (name: string, digest: string, before: number, after: string): string => {
    const file = join(folder.path, name);
    writeFileSync(file, `${"x".repeat(before)}${digest}${after}`);
    return file;
  };
  for (const before of [0, 1000, 256 * 1024 - 32, 256 * 1024 - 16, 256 * 1024, 512 * 1024 - 1]) {
    const old = write("old", a, before, "yyy");
    const now = write("now", b, before, "yyy");
    assert.deepEqual([...compareTrees(old, now, [a, b])], [], `${before}`);
    assert.equal([...compareTrees(old, now)].length, 1);
    const other = write("other", b, before, "yyz");
    const [difference] = compareTrees(old, other, [a, b]);
    assert.deepEqual(difference?.details, ["same size", `first at byte ${before + 34}`]);
  }
});
