import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { ExtractBench } from "./bench.test.helper.ts";
import { endMark, tar, zip } from "./archives.test.helper.ts";

const bench = new ExtractBench();

describe("stripFirstComponent", () => {
  it("makes a single file, executable or not, the output", async () => {
    assert.equal(await bench.unpack(await tar({ name: "tool", data: "x" }), { strip: true }), "x");
    const run = await tar({ name: "./tool", mode: 0o755, data: "x" });
    assert.equal(await bench.unpack(run, { strip: true }), "*x");
    assert.equal(await bench.unpack(await zip({ name: "tool", data: "x" }), { strip: true }), "x");
  });

  it("makes a single symlink the output", async () => {
    const archive = await tar({ name: "link", type: "symlink", linkname: "../elsewhere" });
    assert.equal(await bench.unpack(archive, { strip: true }), "-> ../elsewhere");
  });

  it("makes a single empty directory the output", async () => {
    const archive = await tar({ name: "empty/", type: "directory" });
    assert.deepEqual(await bench.unpack(archive, { strip: true }), {});
    assert.deepEqual(await bench.unpack(await zip({ name: "empty/" }), { strip: true }), {});
  });

  it("needs no entry for the top-level directory", async () => {
    const archive = await tar({ name: "pkg/a/b", data: "x" }, { name: "pkg/c", data: "y" });
    assert.deepEqual(await bench.unpack(archive, { strip: true }), { a: { b: "x" }, c: "y" });
  });

  it("passes over `./`, before names and as an entry", async () => {
    const archive = await tar(
      { name: "./", type: "directory" },
      { name: "./pkg", type: "directory" },
      { name: "./pkg/./a", data: "x" },
      { name: "././pkg//b", data: "y" },
    );
    assert.deepEqual(await bench.unpack(archive, { strip: true }), { a: "x", b: "y" });
    assert.deepEqual(await bench.unpack(archive), { pkg: { a: "x", b: "y" } });
  });

  it("strips targets of hard links, too", async () => {
    const archive = await tar(
      { name: "pkg/a", data: "x", mode: 0o755 },
      { name: "pkg/b", type: "link", linkname: "./pkg/a" },
    );
    assert.deepEqual(await bench.unpack(archive, { strip: true }), { a: "*x", b: "*x" });
  });

  for (const [name, names] of [
    ["two directories", ["a/x", "b/y"]],
    ["a directory and a file", ["a/x", "b"]],
    ["two files", ["a", "b"]],
    ["a file whose name begins like the directory's", ["a/x", "ab/x"]],
  ] as const) {
    it(`refuses ${name} at the top`, async () => {
      const entries = names.map((entry) => ({ name: entry, data: "" }));
      for (const archive of [await tar(...entries), await zip(...entries)]) {
        await assert.rejects(bench.unpack(archive, { strip: true }), {
          code: "extract.strip",
          message: /archive contains multiple top-level files/,
        });
      }
    });
  }

  it("refuses an archive without entries", async () => {
    const root = await tar({ name: "./", type: "directory" });
    for (const archive of [endMark, root, await zip(), gzipSync(endMark)]) {
      await assert.rejects(bench.unpack(archive, { strip: true }), {
        code: "extract.empty",
        message: /: empty archive$/,
      });
    }
  });

  it("refuses names that leave the top-level directory", async () => {
    for (const name of ["pkg/../x", "pkg/a/../../x", "../pkg/x"]) {
      await assert.rejects(bench.unpack(await tar({ name }), { strip: true }), {
        code: "extract.entry",
      });
    }
  });
});
