import assert from "node:assert/strict";
import { readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { shapeOf } from "../task.test.helper.ts";
import { contextOf, ExtractBench } from "./bench.test.helper.ts";
import { extract } from "./archive.ts";
import { endMark, rawEntry, tar, zip } from "./archives.test.helper.ts";

const bench = new ExtractBench();

describe("the tree of an archive", () => {
  it("makes an empty directory of an archive without entries", async () => {
    assert.deepEqual(await bench.unpack(endMark), {});
    assert.deepEqual(await bench.unpack(await zip()), {});
  });

  describe("refuses", () => {
    const hostile: [string, () => Promise<Buffer> | Buffer][] = [
      ["an absolute name", () => tar({ name: "/etc/passwd" })],
      ["a name that leads outside", () => tar({ name: "../x" })],
      ["a name that leads outside later", () => tar({ name: "a/b/../../../x" })],
      ["an empty name", () => Buffer.concat([rawEntry({ name: "" }), endMark])],
      [
        "a name that is not UTF-8",
        () => Buffer.concat([rawEntry({ name: Buffer.from("caf\xe9", "latin1") }), endMark]),
      ],
      ["a file for the whole output", () => tar({ name: ".", data: "x", type: "file" })],
      ["a symlink for the whole output", () => tar({ name: ".", type: "symlink", linkname: "/" })],
      [
        "a file through a symlink",
        () =>
          tar(
            { name: "link", type: "symlink", linkname: bench.outside },
            { name: "link/x", data: "x" },
          ),
      ],
      [
        "a directory over a symlink",
        () =>
          tar(
            { name: "link", type: "symlink", linkname: bench.outside },
            { name: "link", type: "directory" },
          ),
      ],
      [
        "a hard link through a symlink",
        () =>
          tar(
            { name: "link", type: "symlink", linkname: "/etc" },
            { name: "x", type: "link", linkname: "link/passwd" },
          ),
      ],
      ["a hard link outside", () => tar({ name: "x", type: "link", linkname: "/etc/passwd" })],
      ["a hard link upwards", () => tar({ name: "x", type: "link", linkname: "../x" })],
      ["a hard link to nothing", () => tar({ name: "x", type: "link", linkname: "y" })],
      [
        "a hard link to a symlink",
        () =>
          tar(
            { name: "link", type: "symlink", linkname: "/etc/passwd" },
            { name: "x", type: "link", linkname: "link" },
          ),
      ],
      [
        "a hard link to a directory",
        () => tar({ name: "d", type: "directory" }, { name: "x", type: "link", linkname: "d" }),
      ],
      ["a file below a file", () => tar({ name: "a", data: "x" }, { name: "a/b", data: "y" })],
      ["a file over a directory", () => tar({ name: "a/b", data: "x" }, { name: "a", data: "y" })],
      ["a fifo", () => tar({ name: "x", type: "fifo" })],
      ["a character device", () => tar({ name: "x", type: "character-device" })],
      ["a block device", () => tar({ name: "x", type: "block-device" })],
      ["a GNU sparse file", () => Buffer.concat([rawEntry({ type: "S" }), endMark])],
      ["an unknown type", () => Buffer.concat([rawEntry({ type: "V" }), endMark])],
      ["a symlink to nothing", () => Buffer.concat([rawEntry({ type: "2" }), endMark])],
      ["a name too long", () => tar({ name: "n".repeat(256) })],
      ["a path too long", () => tar({ name: "name/".repeat(800) })],
      ["a zip fifo", () => zip({ name: "x", mode: 0o010644 })],
      ["a zip device", () => zip({ name: "x", mode: 0o020644 })],
      ["a zip symlink to nothing", () => zip({ name: "x", mode: 0o120777 })],
      ["a zip symlink too long", () => zip({ name: "x", mode: 0o120777, data: "t".repeat(5000) })],
      [
        "a zip file through a symlink",
        () =>
          zip({ name: "link", mode: 0o120777, data: bench.outside }, { name: "link/x", data: "x" }),
      ],
    ];
    for (const [name, make] of hostile) {
      it(name, async () => {
        await assert.rejects(bench.unpack(await make()), {
          code: "extract.entry",
          kind: "builder",
        });
      });
    }

    it("and leaves nothing outside", async () => {
      assert.deepEqual(await readdir(bench.outside), []);
      assert.ok(!(await readdir(bench.store.root)).includes("x"));
    });
  });

  it("lets the last of several files win, without following what the others were", async () => {
    const { path: victim, real } = await bench.store.addDirectory("victim");
    await writeFile(join(real, "file"), "untouched");
    const archive = await tar(
      { name: "a", data: "first" },
      { name: "kept", type: "link", linkname: "a" },
      { name: "a", data: "second", mode: 0o755 },
      { name: "b", type: "symlink", linkname: join(real, "file") },
      { name: "b", data: "a file now" },
      { name: "c", data: "a file" },
      { name: "c", type: "symlink", linkname: "a" },
      { name: "d", type: "directory" },
      { name: "d", type: "directory" },
      { name: "a", type: "link", linkname: "a" },
    );
    assert.deepEqual(await bench.unpack(archive), {
      a: "*second",
      b: "a file now",
      c: "-> a",
      d: {},
      kept: "first",
    });
    assert.deepEqual(await shapeOf(real), { file: "untouched" });
    assert.ok(victim);
  });

  it("takes a directory after what is in it", async () => {
    const archive = await tar({ name: "a/b/c", data: "x" }, { name: "a/b/", type: "directory" });
    assert.deepEqual(await bench.unpack(archive), { a: { b: { c: "x" } } });
  });

  it("keeps newlines and other odd characters in names", async () => {
    const names = ["new\nline", "\u001b[31m", " ", "ü\u0308", "-rf", "\u{1f600}", "a\\b", "*"];
    const archive = await tar(...names.map((name) => ({ name, data: name })));
    const want = Object.fromEntries(names.map((n) => [n, Buffer.from(n).toString("latin1")]));
    assert.deepEqual(await bench.unpack(archive), want);
  });

  it("writes odd names of refused entries in one harmless line", async () => {
    const archive = await tar({ name: "/new\nline\u001b[31m\u009b\u202e" });
    await assert.rejects(bench.unpack(archive), {
      message: /refused the name "\/new\\nline\\u001b\[31m\\u009b\\u202e": it is absolute$/,
    });
  });

  it("copies hard links, so that no file has two names", async () => {
    const src = await bench.store.addFile(
      "links.tar",
      await tar({ name: "a", data: "x" }, { name: "b", type: "link", linkname: "a" }),
    );
    const task = await bench.store.task("builtin:extract", { src });
    await extract(task, contextOf());
    for (const name of ["a", "b"]) {
      assert.equal((await stat(join(task.output, name))).nlink, 1);
    }
  });

  it("leaves modes to the umask and the execute bits", async () => {
    const src = await bench.store.addFile(
      "modes.tar",
      await tar(
        { name: "d", type: "directory", mode: 0o000 },
        { name: "d/plain", mode: 0o7666, data: "x" },
        { name: "d/group", mode: 0o010, data: "x" },
      ),
    );
    const task = await bench.store.task("builtin:extract", { src });
    await extract(task, contextOf());
    const mode = async (path: string) => (await stat(join(task.output, path))).mode & 0o7777;
    const umask = process.umask();
    assert.equal(await mode("d"), 0o777 & ~umask);
    assert.equal(await mode("d/plain"), 0o666 & ~umask);
    assert.equal(await mode("d/group"), 0o777 & ~umask);
  });

  it("refuses to write over what is there", async () => {
    const src = await bench.store.addFile("a.tar", await tar({ name: "a", data: "x" }));
    for (const strip of ["", "1"]) {
      const task = await bench.store.task("builtin:extract", { src, stripFirstComponent: strip });
      await symlink(bench.store.root, task.output);
      const context = contextOf();
      await assert.rejects(extract(task, context), { code: "EEXIST" });
    }
    assert.ok(!(await readdir(bench.store.root)).includes("a"));
  });
});
