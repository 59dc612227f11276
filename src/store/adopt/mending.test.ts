import assert from "node:assert/strict";
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { hashTree } from "../../files/dump.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import { clearModes, findLinkTargets, findWrongModes } from "./mending.ts";

let folder: { path: string } & AsyncDisposable;
let tree = "";
beforeEach(async () => {
  folder = await temporaryDirectory(tmpdir(), "kiln-mending-");
  tree = join(folder.path, "object");
  mkdirSync(join(tree, "bin"), { recursive: true });
});
afterEach(async () => await folder[Symbol.asyncDispose]());

function write(name: string, text: string, mode: number): void {
  writeFileSync(join(tree, name), text);
  chmodSync(join(tree, name), mode);
}

const names = ["text", "script", "library", "bin/data", "bin/tool"];

for (const [what, modes] of [
  ["what does not look like a program", [0o644, 0o755, 0o755, 0o644, 0o755]],
  ["a script that nobody was to run", [0o644, 0o644, 0o755, 0o644, 0o755]],
  ["a library, while a text is to be executable", [0o755, 0o755, 0o644, 0o644, 0o755]],
  ["everything", [0o644, 0o644, 0o644, 0o644, 0o644]],
] as const) {
  test(`the hash tells that the wrong files are: ${what}`, async () => {
    const texts = ["text", "#!/bin/sh", "\x7fELF library", "data", "\x7fELF tool"];
    for (const [i, name] of names.entries()) write(name, texts[i]!, modes[i]!);
    const expected = await hashTree(tree);
    for (const name of names) chmodSync(join(tree, name), 0o555);
    const files = await findWrongModes(tree, expected, [...names, "absent", "bin"]);
    const wrong = names.filter((_, i) => modes[i] === 0o644);
    assert.deepEqual(files?.toSorted(), wrong.toSorted());
    clearModes(tree, files);
    assert.deepEqual(await hashTree(tree), expected);
    assert.equal(statSync(join(tree, wrong[0]!)).mode & 0o777, 0o444);
  });
}

test("other damage is not taken for wrong modes, and nothing is changed", async () => {
  write("text", "text", 0o644);
  const expected = await hashTree(tree);
  write("text", "test", 0o755);
  assert.equal(await findWrongModes(tree, expected, ["text"]), undefined);
  write("text", "text and much more of it, so that the size is another one", 0o755);
  assert.equal(await findWrongModes(tree, expected, ["text"]), undefined);
  assert.equal(statSync(join(tree, "text")).mode & 0o777, 0o755);
});

test("links lead to files of any object, not out of the store", async () => {
  write("text", "text", 0o644);
  const links = {
    near: "text",
    around: "bin/../../other",
    nowhere: "none",
    out: "/etc/passwd",
    away: "bin/again",
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(tree, name));
  symlinkSync("../text", join(tree, "bin/again"));
  writeFileSync(join(folder.path, "other"), "other");
  assert.deepEqual(
    await findLinkTargets(folder.path, ["object", "other", "absent"]),
    new Map([
      ["object", new Set(["text"])],
      ["other", new Set([""])],
    ]),
  );
});
