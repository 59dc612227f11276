import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { freeze } from "./freeze.ts";

const isRoot = process.geteuid?.() === 0;

function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8);
}

/** What must not change outside of a frozen tree. */
function traits(path: string): unknown {
  const { mode, uid, gid, mtimeMs, nlink } = statSync(path);
  return { mode, uid, gid, mtimeMs, nlink };
}

describe("freezing a tree", () => {
  test("gives everything its final mode and time", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const root = join(temp.path, "root");
    mkdirSync(join(root, "dir", "empty"), { recursive: true });
    const modes = { plain: 0o644, private: 0o600, program: 0o755, group: 0o610, suid: 0o6755 };
    for (const [name, mode] of Object.entries(modes)) {
      const file = join(root, "dir", name);
      writeFileSync(file, name);
      chmodSync(file, mode);
    }
    chmodSync(join(root, "dir", "empty"), 0o3777);

    await freeze(root);

    const found = Object.fromEntries(
      ["", "dir", "dir/empty", ...Object.keys(modes).map((name) => `dir/${name}`)].map((path) => {
        assert.equal(lstatSync(join(root, path)).mtimeMs, 0, path);
        return [path, modeOf(join(root, path))];
      }),
    );
    assert.deepEqual(found, {
      "": "555",
      dir: "555",
      "dir/empty": "555",
      "dir/plain": "444",
      "dir/private": "444",
      "dir/program": "555",
      "dir/group": "555",
      "dir/suid": "555",
    });
    assert.equal(readFileSync(join(root, "dir", "suid"), "utf8"), "suid");
  });

  test("freezing twice changes nothing", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const root = join(temp.path, "root");
    mkdirSync(root);
    writeFileSync(join(root, "file"), "x");
    await freeze(root);
    const before = lstatSync(join(root, "file")).ctimeMs;
    await freeze(root);
    assert.equal(lstatSync(join(root, "file")).ctimeMs, before);
  });

  test("a single file, and a single symlink", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const file = join(temp.path, "file");
    const link = join(temp.path, "link");
    writeFileSync(file, "x");
    symlinkSync(file, link);
    const before = traits(file);
    await freeze(link);
    assert.deepEqual(traits(file), before);
    await freeze(file);
    assert.equal(modeOf(file), "444");
  });

  test("what symlinks point at keeps its mode, owner and time", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const root = join(temp.path, "root");
    const outside = join(temp.path, "outside");
    mkdirSync(root);
    mkdirSync(outside);
    writeFileSync(join(outside, "file"), "x");
    chmodSync(join(outside, "file"), 0o640);
    chmodSync(outside, 0o750);
    for (const path of [join(outside, "file"), outside]) utimesSync(path, 1000, 1000);
    symlinkSync(join(outside, "file"), join(root, "to-file"));
    symlinkSync(outside, join(root, "to-dir"));
    symlinkSync("nowhere", join(root, "dangling"));
    lutimesSync(join(root, "dangling"), 77, 77);
    const before = [traits(outside), traits(join(outside, "file"))];

    await freeze(root, isRoot ? { owner: { uid: 65534, gid: 65534 } } : {});

    assert.deepEqual([traits(outside), traits(join(outside, "file"))], before);
    assert.equal(lstatSync(join(root, "dangling")).mtimeMs, 77_000);
    assert.equal(lstatSync(join(root, "to-dir")).isSymbolicLink(), true);
  });

  test(
    "the owner becomes the given one, also of symlinks",
    { skip: !isRoot && "needs root" },
    async () => {
      await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
      const root = join(temp.path, "root");
      mkdirSync(root);
      writeFileSync(join(root, "file"), "x");
      symlinkSync("file", join(root, "link"));
      await freeze(root, { owner: { uid: 1234, gid: 5678 } });
      for (const path of [root, join(root, "file"), join(root, "link")]) {
        const { uid, gid } = lstatSync(path);
        assert.deepEqual({ uid, gid }, { uid: 1234, gid: 5678 });
      }
    },
  );

  test("a file with names outside is replaced by a copy", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const root = join(temp.path, "root");
    const outside = join(temp.path, "outside");
    mkdirSync(join(root, "dir"), { recursive: true });
    writeFileSync(outside, "shared");
    chmodSync(outside, 0o4750);
    utimesSync(outside, 1000, 1000);
    linkSync(outside, join(root, "dir", "a"));
    linkSync(outside, join(root, "b"));

    await freeze(root);

    const { mode, mtimeMs, nlink } = statSync(outside);
    assert.deepEqual([mode & 0o7777, mtimeMs, nlink], [0o4750, 1_000_000, 1]);
    for (const copy of [join(root, "dir", "a"), join(root, "b")]) {
      assert.equal(readFileSync(copy, "utf8"), "shared");
      assert.equal(modeOf(copy), "555");
      assert.equal(lstatSync(copy).mtimeMs, 0);
    }
    assert.deepEqual(readdirSync(root).toSorted(), ["b", "dir"]);
    assert.equal(modeOf(join(root, "dir")), "555");
    assert.equal(lstatSync(join(root, "dir")).mtimeMs, 0);
  });

  test("a file with all its names inside keeps them", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const root = join(temp.path, "root");
    mkdirSync(root);
    writeFileSync(join(root, "a"), "shared");
    linkSync(join(root, "a"), join(root, "b"));
    await freeze(root);
    const [a, b] = [lstatSync(join(root, "a")), lstatSync(join(root, "b"))];
    assert.equal(a.ino, b.ino);
    assert.deepEqual([a.nlink, modeOf(join(root, "a")), a.mtimeMs], [2, "444", 0]);
  });

  test("file capabilities are removed", { skip: cannotSetCapabilities() }, async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const file = join(temp.path, "file");
    writeFileSync(file, "x");
    chmodSync(file, 0o555);
    utimesSync(file, 0, 0);
    execFileSync("setcap", ["cap_net_raw+ep", file]);
    assert.match(execFileSync("getcap", [file], { encoding: "utf8" }), /cap_net_raw/);
    await freeze(file, { owner: { uid: 0, gid: 0 } });
    assert.equal(execFileSync("getcap", [file], { encoding: "utf8" }), "");
  });

  test("anything else is refused", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    execFileSync("mkfifo", [join(temp.path, "fifo")]);
    await assert.rejects(freeze(temp.path), (thrown) => hasCode(thrown, "file.type"));
    chmodSync(temp.path, 0o700);
  });

  test("names that are not UTF-8 are frozen like others", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-freeze-");
    const bad = Buffer.concat([Buffer.from(`${temp.path}/bad`), Buffer.from([0xff])]);
    writeFileSync(bad, "x");
    await freeze(temp.path);
    assert.equal(lstatSync(bad).mode & 0o7777, 0o444);
    chmodSync(temp.path, 0o700);
  });
});

function cannotSetCapabilities(): string | false {
  if (!isRoot) return "needs root";
  return existsSync("/usr/sbin/setcap") || existsSync("/sbin/setcap") ? false : "needs setcap";
}
