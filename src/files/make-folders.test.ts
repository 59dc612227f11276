import assert from "node:assert/strict";
import { existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { spawnSync } from "node:child_process";
import { temporaryDirectory } from "../util/temp.ts";
import { makeFolders } from "./make-folders.ts";

test("what is missing is made, and the first of it is told", async () => {
  await using temp = await temporaryDirectory(tmpdir(), "kiln-folders-");
  const [a, b, c] = [join(temp.path, "a"), join(temp.path, "a/b"), join(temp.path, "a/b/c")];
  assert.equal(makeFolders(a, 0o700), a);
  assert.equal(makeFolders(c, 0o700), b);
  assert.equal(statSync(b).mode & 0o777, 0o700);
  assert.equal(statSync(c).mode & 0o777, 0o700);
  assert.equal(makeFolders(c), undefined);
  assert.equal(makeFolders("/"), undefined);
});

test("what is in the way is told, and a link to a folder is one", async () => {
  await using temp = await temporaryDirectory(tmpdir(), "kiln-folders-");
  const [file, link, lost] = ["file", "link", "lost"].map((name) => join(temp.path, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(file, "");
  symlinkSync(temp.path, link);
  symlinkSync(join(temp.path, "nowhere"), lost);
  assert.throws(() => makeFolders(file), { code: "EEXIST" });
  assert.throws(() => makeFolders(join(file, "x")), { code: "ENOTDIR" });
  assert.throws(() => makeFolders(lost), { code: "EEXIST" });
  assert.equal(makeFolders(link), undefined);
});

test(
  "a folder in which nothing can be made is told, and not tried for ever",
  { skip: existsSync("/proc/self") ? false : "there is no /proc here" },
  () => {
    // In a process of its own: what is tried for ever cannot be interrupted in this one.
    const module = JSON.stringify(new URL("./make-folders.ts", import.meta.url).href);
    const program = `
      const { makeFolders } = await import(${module});
      try { makeFolders("/proc/nowhere/store"); } catch (error) { console.log(error.code); }`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    assert.match(stdout, /^(?:ENOENT|EACCES)\n$/);
  },
);
