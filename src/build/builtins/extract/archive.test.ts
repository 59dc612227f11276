import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { shapeOf } from "../task.test.helper.ts";
import { contextOf, compressors, ExtractBench } from "./bench.test.helper.ts";
import { extract } from "./archive.ts";
import { tar, zip } from "./archives.test.helper.ts";

const bench = new ExtractBench();

const items = [
  { name: "pkg-1.0/", type: "directory" },
  { name: "pkg-1.0/README", data: "read me\n" },
  { name: "pkg-1.0/bin/run", mode: 0o755, data: "#!/bin/sh\n" },
  { name: "pkg-1.0/link", type: "symlink", linkname: "bin/run" },
  { name: "pkg-1.0/empty/", type: "directory" },
] as const;
const pkg = {
  README: "read me\n",
  bin: { run: "*#!/bin/sh\n" },
  empty: {},
  link: "-> bin/run",
};

const zipItems = [
  { name: "pkg-1.0/README", data: "read me\n" },
  { name: "pkg-1.0/bin/run", mode: 0o100755, data: "#!/bin/sh\n" },
  { name: "pkg-1.0/link", mode: 0o120777, data: "bin/run" },
  { name: "pkg-1.0/empty/", mode: 0o040755 },
] as const;

describe("builtin:extract", () => {
  for (const [name, compress] of compressors) {
    it(`unpacks a ${name} tar archive`, async () => {
      const archive = compress(await tar(...items));
      assert.deepEqual(await bench.unpack(archive), { "pkg-1.0": pkg });
      assert.deepEqual(await bench.unpack(archive, { strip: true }), pkg);
    });

    it(`unpacks a ${name} tar archive of many members and blocks`, async () => {
      const large = Buffer.alloc(3 << 20, "0123456789abcdef");
      const whole = await tar({ name: "large", data: large }, { name: "small", data: "end" });
      const parts = [0, 1, 2, 3].map((i) =>
        whole.subarray(i << 20, i === 3 ? undefined : (i + 1) << 20),
      );
      const unpacked = await bench.unpack(Buffer.concat(parts.map(compress)));
      assert.deepEqual(unpacked, { large: large.toString(), small: "end" });
    });

    it(`refuses a ${name} tar archive that was cut short`, async () => {
      const archive = compress(await tar({ name: "a", data: "x".repeat(600) }, { name: "b" }));
      const { length } = archive;
      const cuts =
        name === "plain"
          ? [512, 600, 1024, 1536, length - 1025, length - 1024, length - 1023, length - 1]
          : [10, length >> 1, length - 10, length - 1];
      for (const cut of cuts) {
        await assert.rejects(
          bench.unpack(archive.subarray(0, cut)),
          { code: "extract.truncated" },
          `after ${cut} of ${length} bytes`,
        );
      }
    });
  }

  for (const [name, compress] of compressors.slice(2, 4)) {
    it(`unpacks ${name} without the program of that name`, async () => {
      const large = Buffer.alloc(300_000, "0123456789abcdef");
      const whole = await tar({ name: "large", data: large }, { name: "small", data: "end" });
      const archive = Buffer.concat([whole.subarray(0, 5000), whole.subarray(5000)].map(compress));
      assert.deepEqual(await bench.unpack(archive, { searchPath: "" }), {
        large: large.toString(),
        small: "end",
      });
    });

    it(`refuses damaged ${name} without the program of that name`, async () => {
      const archive = compress(await tar({ name: "a", data: "x".repeat(600) }));
      for (const length of [20, archive.length - 1]) {
        const cut = archive.subarray(0, length);
        await assert.rejects(bench.unpack(cut, { searchPath: "" }), { code: "extract.damaged" });
      }
      const flipped = Buffer.from(archive);
      flipped.writeUInt8(flipped.readUInt8(60) ^ 1, 60);
      await assert.rejects(bench.unpack(flipped, { searchPath: "" }), { code: "extract.damaged" });
    });
  }

  it("refuses damaged contents of every compression", async () => {
    for (const [name, compress] of compressors.slice(1)) {
      const archive = compress(await tar({ name: "a", data: "x".repeat(600) }));
      archive.writeUInt8(archive.readUInt8(50) ^ 0x55, 50);
      const code = /^extract\.(damaged|truncated)$/;
      await assert.rejects(bench.unpack(archive), { code }, name);
    }
  });

  it("refuses compressed data after the archive that are cut short", async () => {
    const archive = gzipSync(Buffer.concat([await tar({ name: "a" }), Buffer.alloc(1 << 20)]));
    await assert.rejects(bench.unpack(archive.subarray(0, -1)), { code: "extract.truncated" });
  });

  it("takes gzip data with padding after them", async () => {
    const archive = Buffer.concat([
      gzipSync(await tar({ name: "a", data: "x" })),
      Buffer.alloc(600),
    ]);
    assert.deepEqual(await bench.unpack(archive), { a: "x" });
  });

  it("takes a compressed tar archive without an end mark, as others do", async () => {
    const archive = (await tar({ name: "a", data: "contents" })).subarray(0, -1024);
    assert.deepEqual(await bench.unpack(gzipSync(archive)), { a: "contents" });
  });

  it("unpacks a zip archive", async () => {
    const archive = await zip(...zipItems);
    assert.deepEqual(await bench.unpack(archive), { "pkg-1.0": pkg });
    assert.deepEqual(await bench.unpack(archive, { strip: true }), pkg);
  });

  for (const [format, args] of [
    ["v7", ["--format=v7"]],
    ["old GNU", ["--format=oldgnu"]],
    ["GNU", ["--format=gnu"]],
    ["ustar", ["--format=ustar"]],
    ["pax", ["--format=pax"]],
    ["pax with a global header", ["--format=pax", "--pax-option=globexthdr.name=g,comment=hello"]],
  ] as const) {
    it(`unpacks what the tar program writes as ${format}`, async () => {
      const folder = join(bench.store.root, `made-${format.replaceAll(" ", "-")}`);
      const long = format === "v7" || format === "ustar" ? "long" : `${"long/".repeat(40)}name`;
      await mkdir(join(folder, "top", long), { recursive: true });
      await writeFile(join(folder, "top/file"), "contents");
      await writeFile(join(folder, "top/run"), "run", { mode: 0o755 });
      await symlink(join("..", long).slice(0, 90), join(folder, "top", long, "link"));
      execFileSync("ln", [join(folder, "top/file"), join(folder, "top/same")]);
      const archive = execFileSync("tar", ["-C", folder, ...args, "-cf", "-", "./top"]);
      const want = await shapeOf(join(folder, "top"));
      assert.deepEqual(await bench.unpack(archive), { top: want });
      assert.deepEqual(await bench.unpack(archive, { strip: true }), want);
    });
  }

  it("refuses what is no archive", async () => {
    for (const contents of ["", "just text\n", "x".repeat(5000), "7z\xbc\xaf\x27\x1c"]) {
      await assert.rejects(bench.unpack(Buffer.from(contents, "latin1")), {
        code: "extract.format",
        message: /: unknown format \(must be \.tar, .* or \.zip\)$/,
      });
    }
  });

  it("refuses compressed data that are no tar archive", async () => {
    for (const contents of ["just text\n", "x".repeat(5000)]) {
      const code = /^extract\.(damaged|truncated)$/;
      await assert.rejects(bench.unpack(gzipSync(contents)), { code });
    }
  });

  it("names the archive in what it says", async () => {
    const src = await bench.store.addFile("pkg.tar", await tar({ name: "/etc/passwd" }));
    await assert.rejects(bench.unpackPath(src), {
      message: `extract ${src}: refused the name "/etc/passwd": it is absolute`,
    });
  });

  describe("finds its source", () => {
    it("inside an object", async () => {
      const { path, real } = await bench.store.addDirectory("with-archive");
      await mkdir(join(real, "sub"));
      await writeFile(join(real, "sub/a.tar"), await tar({ name: "a", data: "x" }));
      assert.deepEqual(await bench.unpackPath(`${path}/sub/a.tar`), { a: "x" });
      assert.deepEqual(await bench.unpackPath(`${path}//sub/../sub/./a.tar/`), { a: "x" });
    });

    it("but not through a symlink", async () => {
      const { path, real } = await bench.store.addDirectory("with-links");
      await mkdir(join(real, "sub"));
      await writeFile(join(real, "sub/a.tar"), await tar({ name: "a" }));
      await symlink("sub", join(real, "directory"));
      await symlink("sub/a.tar", join(real, "file"));
      await symlink(bench.store.root, join(real, "outside"));
      for (const sub of ["directory/a.tar", "file", "outside/store"]) {
        await assert.rejects(bench.unpackPath(`${path}/${sub}`), { code: "extract.source" });
      }
    });

    it("but not outside of the object, or in one that is no input", async () => {
      const { path } = await bench.store.addDirectory("another");
      const file = await bench.store.addFile("file", await tar({ name: "a" }));
      await assert.rejects(bench.unpackPath(`${path}/../../../etc/passwd`), {
        code: "path.invalid",
      });
      await assert.rejects(bench.unpackPath("/etc/passwd"), { code: "path.invalid" });
      const task = await bench.store.task("builtin:extract", { src: file }, { inputs: [path] });
      const context = contextOf();
      await assert.rejects(extract(task, context), {
        code: "extract.source",
        message: `source ${file} is not an input of the derivation`,
      });
    });

    it("unless it is missing, relative, a directory or nothing", async () => {
      const { path } = await bench.store.addDirectory("directory");
      await assert.rejects(bench.unpackPath(""), { message: "missing src environment variable" });
      await assert.rejects(bench.unpackPath("x"), { message: "source x is not absolute" });
      await assert.rejects(bench.unpackPath(path), { message: /: it is not a regular file$/ });
      await assert.rejects(bench.unpackPath(`${path}/no`), { message: /: there is no such file$/ });
    });
  });
});
