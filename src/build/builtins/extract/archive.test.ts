import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { hasCode } from "../../../util/kiln-error.ts";
import { shapeOf, type Shape, type TestStore, testStore } from "../task.test.helper.ts";
import { extract } from "./archive.ts";
import { endMark, rawEntry, rawHeader, tar, zip } from "./archives.test.helper.ts";
import type { ExtractLimits } from "./limits.ts";

let store: TestStore;
before(async () => {
  store = await testStore();
  await mkdir(outside());
});
after(async () => {
  await store[Symbol.asyncDispose]();
});

/** A directory that hostile archives would like to write to. */
function outside(): string {
  return join(store.root, "outside");
}

interface Settings {
  readonly strip?: boolean;
  readonly limits?: Partial<ExtractLimits>;
  /** Empty: no program is found. */
  readonly searchPath?: string;
  readonly signal?: AbortSignal;
}

async function unpack(archive: Buffer, settings: Settings = {}): Promise<Shape> {
  const src = await store.addFile("archive", archive);
  return await unpackPath(src, settings);
}

async function unpackPath(src: string, settings: Settings = {}): Promise<Shape> {
  const env = { src, ...(settings.strip === true && { stripFirstComponent: "1" }) };
  const task = await store.task("builtin:extract", env);
  const context = {
    environment: { PATH: settings.searchPath ?? process.env["PATH"] },
    signal: settings.signal ?? new AbortController().signal,
  };
  await extract(task, context, settings.limits);
  return await shapeOf(task.output);
}

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

const program =
  (name: string, ...args: string[]) =>
  (data: Buffer) =>
    execFileSync(name, args, { input: data, maxBuffer: 1 << 28 });

const compressors: [string, (data: Buffer) => Buffer][] = [
  ["plain", (data) => data],
  ["gzip", (data) => gzipSync(data)],
  ["bzip2", program("bzip2")],
  ["xz", program("xz")],
  ["zstd", (data) => zstdCompressSync(data)],
];

function manyFiles(count: number): Buffer {
  const headers = Array.from({ length: count }, (_, i) => rawHeader({ name: `f${i}` }));
  return Buffer.concat([...headers, endMark]);
}

/** A signal that is aborted when somebody asks for the nth time whether it is. */
function abortedWhenAskedFor(count: number): AbortSignal {
  const controller = new AbortController();
  const { signal } = controller;
  let asked = 0;
  signal.throwIfAborted = () => {
    if (++asked === count) controller.abort(new Error("cancelled by the test"));
    AbortSignal.prototype.throwIfAborted.call(signal);
  };
  return signal;
}

describe("builtin:extract", () => {
  for (const [name, compress] of compressors) {
    it(`unpacks a ${name} tar archive`, async () => {
      const archive = compress(await tar(...items));
      assert.deepEqual(await unpack(archive), { "pkg-1.0": pkg });
      assert.deepEqual(await unpack(archive, { strip: true }), pkg);
    });

    it(`unpacks a ${name} tar archive of many members and blocks`, async () => {
      const large = Buffer.alloc(3 << 20, "0123456789abcdef");
      const whole = await tar({ name: "large", data: large }, { name: "small", data: "end" });
      const parts = [0, 1, 2, 3].map((i) =>
        whole.subarray(i << 20, i === 3 ? undefined : (i + 1) << 20),
      );
      const unpacked = await unpack(Buffer.concat(parts.map(compress)));
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
          unpack(archive.subarray(0, cut)),
          { code: "extract.truncated" },
          `after ${cut} of ${length} bytes`,
        );
      }
    });
  }

  for (const [name, compress] of compressors.slice(2, 4)) {
    it(`unpacks ${name} without the program of that name`, async () => {
      const large = Buffer.alloc(3 << 20, "0123456789abcdef");
      const whole = await tar({ name: "large", data: large }, { name: "small", data: "end" });
      const archive = Buffer.concat([whole.subarray(0, 5000), whole.subarray(5000)].map(compress));
      assert.deepEqual(await unpack(archive, { searchPath: "" }), {
        large: large.toString(),
        small: "end",
      });
    });

    it(`refuses damaged ${name} without the program of that name`, async () => {
      const archive = compress(await tar({ name: "a", data: "x".repeat(600) }));
      for (const length of [20, archive.length - 1]) {
        const cut = archive.subarray(0, length);
        await assert.rejects(unpack(cut, { searchPath: "" }), { code: "extract.damaged" });
      }
      const flipped = Buffer.from(archive);
      flipped.writeUInt8(flipped.readUInt8(60) ^ 1, 60);
      await assert.rejects(unpack(flipped, { searchPath: "" }), { code: "extract.damaged" });
    });
  }

  it("refuses damaged contents of every compression", async () => {
    for (const [name, compress] of compressors.slice(1)) {
      const archive = compress(await tar({ name: "a", data: "x".repeat(600) }));
      archive.writeUInt8(archive.readUInt8(50) ^ 0x55, 50);
      const code = /^extract\.(damaged|truncated)$/;
      await assert.rejects(unpack(archive), { code }, name);
    }
  });

  it("refuses compressed data after the archive that are cut short", async () => {
    const archive = gzipSync(Buffer.concat([await tar({ name: "a" }), Buffer.alloc(1 << 20)]));
    await assert.rejects(unpack(archive.subarray(0, -1)), { code: "extract.truncated" });
  });

  it("takes gzip data with padding after them", async () => {
    const archive = Buffer.concat([
      gzipSync(await tar({ name: "a", data: "x" })),
      Buffer.alloc(600),
    ]);
    assert.deepEqual(await unpack(archive), { a: "x" });
  });

  it("takes a compressed tar archive without an end mark, as others do", async () => {
    const archive = (await tar({ name: "a", data: "contents" })).subarray(0, -1024);
    assert.deepEqual(await unpack(gzipSync(archive)), { a: "contents" });
  });

  it("unpacks a zip archive", async () => {
    const archive = await zip(...zipItems);
    assert.deepEqual(await unpack(archive), { "pkg-1.0": pkg });
    assert.deepEqual(await unpack(archive, { strip: true }), pkg);
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
      const folder = join(store.root, `made-${format.replaceAll(" ", "-")}`);
      const long = format === "v7" || format === "ustar" ? "long" : `${"long/".repeat(40)}name`;
      await mkdir(join(folder, "top", long), { recursive: true });
      await writeFile(join(folder, "top/file"), "contents");
      await writeFile(join(folder, "top/run"), "run", { mode: 0o755 });
      await symlink(join("..", long).slice(0, 90), join(folder, "top", long, "link"));
      execFileSync("ln", [join(folder, "top/file"), join(folder, "top/same")]);
      const archive = execFileSync("tar", ["-C", folder, ...args, "-cf", "-", "./top"]);
      const want = await shapeOf(join(folder, "top"));
      assert.deepEqual(await unpack(archive), { top: want });
      assert.deepEqual(await unpack(archive, { strip: true }), want);
    });
  }

  describe("strips", () => {
    it("makes a single file, executable or not, the output", async () => {
      assert.equal(await unpack(await tar({ name: "tool", data: "x" }), { strip: true }), "x");
      const run = await tar({ name: "./tool", mode: 0o755, data: "x" });
      assert.equal(await unpack(run, { strip: true }), "*x");
      assert.equal(await unpack(await zip({ name: "tool", data: "x" }), { strip: true }), "x");
    });

    it("makes a single symlink the output", async () => {
      const archive = await tar({ name: "link", type: "symlink", linkname: "../elsewhere" });
      assert.equal(await unpack(archive, { strip: true }), "-> ../elsewhere");
    });

    it("makes a single empty directory the output", async () => {
      const archive = await tar({ name: "empty/", type: "directory" });
      assert.deepEqual(await unpack(archive, { strip: true }), {});
      assert.deepEqual(await unpack(await zip({ name: "empty/" }), { strip: true }), {});
    });

    it("needs no entry for the top-level directory", async () => {
      const archive = await tar({ name: "pkg/a/b", data: "x" }, { name: "pkg/c", data: "y" });
      assert.deepEqual(await unpack(archive, { strip: true }), { a: { b: "x" }, c: "y" });
    });

    it("passes over `./`, before names and as an entry", async () => {
      const archive = await tar(
        { name: "./", type: "directory" },
        { name: "./pkg", type: "directory" },
        { name: "./pkg/./a", data: "x" },
        { name: "././pkg//b", data: "y" },
      );
      assert.deepEqual(await unpack(archive, { strip: true }), { a: "x", b: "y" });
      assert.deepEqual(await unpack(archive), { pkg: { a: "x", b: "y" } });
    });

    it("strips targets of hard links, too", async () => {
      const archive = await tar(
        { name: "pkg/a", data: "x", mode: 0o755 },
        { name: "pkg/b", type: "link", linkname: "./pkg/a" },
      );
      assert.deepEqual(await unpack(archive, { strip: true }), { a: "*x", b: "*x" });
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
          await assert.rejects(unpack(archive, { strip: true }), {
            code: "extract.strip",
            message: /archive contains multiple top-level files/,
          });
        }
      });
    }

    it("refuses an archive without entries", async () => {
      const root = await tar({ name: "./", type: "directory" });
      for (const archive of [endMark, root, await zip(), gzipSync(endMark)]) {
        await assert.rejects(unpack(archive, { strip: true }), {
          code: "extract.empty",
          message: /: empty archive$/,
        });
      }
    });

    it("refuses names that leave the top-level directory", async () => {
      for (const name of ["pkg/../x", "pkg/a/../../x", "../pkg/x"]) {
        await assert.rejects(unpack(await tar({ name }), { strip: true }), {
          code: "extract.entry",
        });
      }
    });
  });

  it("makes an empty directory of an archive without entries", async () => {
    assert.deepEqual(await unpack(endMark), {});
    assert.deepEqual(await unpack(await zip()), {});
  });

  describe("finds its source", () => {
    it("inside an object", async () => {
      const { path, real } = await store.addDirectory("with-archive");
      await mkdir(join(real, "sub"));
      await writeFile(join(real, "sub/a.tar"), await tar({ name: "a", data: "x" }));
      assert.deepEqual(await unpackPath(`${path}/sub/a.tar`), { a: "x" });
      assert.deepEqual(await unpackPath(`${path}//sub/../sub/./a.tar/`), { a: "x" });
    });

    it("but not through a symlink", async () => {
      const { path, real } = await store.addDirectory("with-links");
      await mkdir(join(real, "sub"));
      await writeFile(join(real, "sub/a.tar"), await tar({ name: "a" }));
      await symlink("sub", join(real, "directory"));
      await symlink("sub/a.tar", join(real, "file"));
      await symlink(store.root, join(real, "outside"));
      for (const sub of ["directory/a.tar", "file", "outside/store"]) {
        await assert.rejects(unpackPath(`${path}/${sub}`), { code: "extract.source" });
      }
    });

    it("but not outside of the object, or in one that is no input", async () => {
      const { path } = await store.addDirectory("another");
      const file = await store.addFile("file", await tar({ name: "a" }));
      await assert.rejects(unpackPath(`${path}/../../../etc/passwd`), { code: "path.invalid" });
      await assert.rejects(unpackPath("/etc/passwd"), { code: "path.invalid" });
      const task = await store.task("builtin:extract", { src: file }, { inputs: [path] });
      const context = { environment: {}, signal: new AbortController().signal };
      await assert.rejects(extract(task, context), {
        code: "extract.source",
        message: `source ${file} is not an input of the derivation`,
      });
    });

    it("unless it is missing, relative, a directory or nothing", async () => {
      const { path } = await store.addDirectory("directory");
      await assert.rejects(unpackPath(""), { message: "missing src environment variable" });
      await assert.rejects(unpackPath("x"), { message: "source x is not absolute" });
      await assert.rejects(unpackPath(path), { message: /: it is not a regular file$/ });
      await assert.rejects(unpackPath(`${path}/no`), { message: /: there is no such file$/ });
    });
  });

  it("refuses what is no archive", async () => {
    for (const contents of ["", "just text\n", "x".repeat(5000), "7z\xbc\xaf\x27\x1c"]) {
      await assert.rejects(unpack(Buffer.from(contents, "latin1")), {
        code: "extract.format",
        message: /: unknown format \(must be \.tar, .* or \.zip\)$/,
      });
    }
  });

  it("refuses compressed data that are no tar archive", async () => {
    for (const contents of ["just text\n", "x".repeat(5000)]) {
      const code = /^extract\.(damaged|truncated)$/;
      await assert.rejects(unpack(gzipSync(contents)), { code });
    }
  });

  it("names the archive in what it says", async () => {
    const src = await store.addFile("pkg.tar", await tar({ name: "/etc/passwd" }));
    await assert.rejects(unpackPath(src), {
      message: `extract ${src}: refused the name "/etc/passwd": it is absolute`,
    });
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
            { name: "link", type: "symlink", linkname: outside() },
            { name: "link/x", data: "x" },
          ),
      ],
      [
        "a directory over a symlink",
        () =>
          tar(
            { name: "link", type: "symlink", linkname: outside() },
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
        () => zip({ name: "link", mode: 0o120777, data: outside() }, { name: "link/x", data: "x" }),
      ],
    ];
    for (const [name, make] of hostile) {
      it(name, async () => {
        await assert.rejects(unpack(await make()), { code: "extract.entry", kind: "builder" });
      });
    }

    it("and leaves nothing outside", async () => {
      assert.deepEqual(await readdir(outside()), []);
      assert.ok(!(await readdir(store.root)).includes("x"));
    });
  });

  it("lets the last of several files win, without following what the others were", async () => {
    const { path: victim, real } = await store.addDirectory("victim");
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
    assert.deepEqual(await unpack(archive), {
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
    assert.deepEqual(await unpack(archive), { a: { b: { c: "x" } } });
  });

  it("keeps newlines and other odd characters in names", async () => {
    const names = ["new\nline", "\u001b[31m", " ", "ü\u0308", "-rf", "\u{1f600}", "a\\b", "*"];
    const archive = await tar(...names.map((name) => ({ name, data: name })));
    const want = Object.fromEntries(names.map((n) => [n, Buffer.from(n).toString("latin1")]));
    assert.deepEqual(await unpack(archive), want);
  });

  it("writes odd names of refused entries in one harmless line", async () => {
    const archive = await tar({ name: "/new\nline\u001b[31m\u009b\u202e" });
    await assert.rejects(unpack(archive), {
      message: /refused the name "\/new\\nline\\u001b\[31m\\u009b\\u202e": it is absolute$/,
    });
  });

  it("copies hard links, so that no file has two names", async () => {
    const src = await store.addFile(
      "links.tar",
      await tar({ name: "a", data: "x" }, { name: "b", type: "link", linkname: "a" }),
    );
    const task = await store.task("builtin:extract", { src });
    await extract(task, { environment: {}, signal: new AbortController().signal });
    for (const name of ["a", "b"]) {
      assert.equal((await stat(join(task.output, name))).nlink, 1);
    }
  });

  describe("keeps to limits", () => {
    it("of entries", async () => {
      assert.equal(
        Object.keys(await unpack(manyFiles(100), { limits: { entries: 100 } })).length,
        100,
      );
      await assert.rejects(unpack(manyFiles(101), { limits: { entries: 100 } }), {
        code: "extract.limit",
        message: /the archive has more than 100 entries$/,
      });
    });

    it("of entries, with directories that are only implied", async () => {
      const archive = await tar({ name: "a/b/c/d/e" }, { name: "a/b/c/f/g" });
      assert.ok(await unpack(archive, { limits: { entries: 7 } }));
      await assert.rejects(unpack(archive, { limits: { entries: 6 } }), { code: "extract.limit" });
    });

    it("of entries, when all of them are the same", async () => {
      const archive = Buffer.concat([...Array.from({ length: 11 }, () => rawHeader({})), endMark]);
      await assert.rejects(unpack(archive, { limits: { entries: 10 } }), { code: "extract.limit" });
    });

    it("of depth", async () => {
      const name = `${"d/".repeat(512)}file`;
      assert.ok(await unpack(await tar({ name })));
      await assert.rejects(unpack(await tar({ name: `d/${name}` })), { code: "extract.limit" });
    });

    for (const [name, compress] of compressors) {
      it(`of bytes, in a ${name} tar archive`, async () => {
        const archive = compress(await tar({ name: "zeros", data: Buffer.alloc(1 << 20) }));
        assert.ok(await unpack(archive, { limits: { bytes: 2 << 20 } }));
        await assert.rejects(unpack(archive, { limits: { bytes: (1 << 20) - 1 } }), {
          code: "extract.limit",
        });
      });
    }

    it("of bytes, together with copies made for hard links", async () => {
      const archive = await tar(
        { name: "a", data: Buffer.alloc(1000) },
        { name: "b", type: "link", linkname: "a" },
      );
      assert.ok(await unpack(archive, { limits: { bytes: 2000 } }));
      await assert.rejects(unpack(archive, { limits: { bytes: 1999 } }), { code: "extract.limit" });
    });

    it("of bytes, after the end of the archive", async () => {
      const archive = gzipSync(Buffer.concat([await tar({ name: "a" }), Buffer.alloc(1 << 20)]));
      await assert.rejects(unpack(archive, { limits: { bytes: 1 << 19 } }), {
        code: "extract.limit",
      });
    });

    it("of bytes, in a zip archive, whatever its sizes say", async () => {
      const archive = await zip({ name: "zeros", data: Buffer.alloc(1 << 20) });
      await assert.rejects(unpack(archive, { limits: { bytes: 1 << 19 } }), {
        code: "extract.limit",
      });
      const size = Buffer.alloc(4);
      size.writeUInt32LE(1 << 20);
      const lying = Buffer.from(archive);
      for (let at = lying.indexOf(size); at !== -1; at = lying.indexOf(size, at + 1)) {
        lying.writeUInt32LE(1000, at);
      }
      await assert.rejects(unpack(lying), { code: "extract.damaged" });
    });
  });

  it("leaves modes to the umask and the execute bits", async () => {
    const src = await store.addFile(
      "modes.tar",
      await tar(
        { name: "d", type: "directory", mode: 0o000 },
        { name: "d/plain", mode: 0o7666, data: "x" },
        { name: "d/group", mode: 0o010, data: "x" },
      ),
    );
    const task = await store.task("builtin:extract", { src });
    await extract(task, { environment: {}, signal: new AbortController().signal });
    const mode = async (path: string) => (await stat(join(task.output, path))).mode & 0o7777;
    const umask = process.umask();
    assert.equal(await mode("d"), 0o777 & ~umask);
    assert.equal(await mode("d/plain"), 0o666 & ~umask);
    assert.equal(await mode("d/group"), 0o777 & ~umask);
  });

  it("refuses to write over what is there", async () => {
    const src = await store.addFile("a.tar", await tar({ name: "a", data: "x" }));
    for (const strip of ["", "1"]) {
      const task = await store.task("builtin:extract", { src, stripFirstComponent: strip });
      await symlink(store.root, task.output);
      const context = { environment: {}, signal: new AbortController().signal };
      await assert.rejects(extract(task, context), { code: "EEXIST" });
    }
    assert.ok(!(await readdir(store.root)).includes("a"));
  });

  for (const [name, compress] of compressors) {
    for (const searchPath of name === "bzip2" || name === "xz" ? [undefined, ""] : [undefined]) {
      it(`ends at once when cancelled in ${name}${searchPath === "" ? " without program" : ""}`, async () => {
        const data = Buffer.alloc(100_000, "0123456789abcdef");
        const archive = compress(
          await tar(...Array.from({ length: 20 }, (_, i) => ({ name: `f${i}`, data }))),
        );
        const src = await store.addFile("large", archive);
        const task = await store.task("builtin:extract", { src });
        const signal = abortedWhenAskedFor(10);
        const environment = { PATH: searchPath ?? process.env["PATH"] };
        await assert.rejects(extract(task, { environment, signal }), /cancelled by the test/);
        const made = await readdir(task.output);
        assert.ok(made.includes("f0") && !made.includes("f19"), made.join(" "));
      });
    }
  }

  it("is cancelled before it begins", async () => {
    const signal = AbortSignal.abort(new Error("cancelled by the test"));
    await assert.rejects(unpack(await tar({ name: "a" }), { signal }), /cancelled by the test/);
  });

  it("tells how far it is", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const src = await store.addFile("a.tar", await tar({ name: "a", data: Buffer.alloc(5000) }));
    const task = await store.task("builtin:extract", { src });
    const running = extract(task, { environment: {}, signal: new AbortController().signal });
    t.mock.timers.tick(1000);
    await running;
    assert.deepEqual(task.phases.at(-1), ["unpack", 0, undefined, "B"]);
  });

  it("does not hold up others while it unpacks many files", async () => {
    const archive = Buffer.concat([
      ...Array.from({ length: 3000 }, (_, i) => rawEntry({ name: `d${i % 50}/f${i}` }, "contents")),
      endMark,
    ]);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await unpack(archive);
    clearInterval(timer);
    assert.ok(turns > 3, `${turns} turns`);
  });

  it("reports faults of the machine as such", async () => {
    const src = await store.addFile("a.tar", await tar({ name: "a" }));
    const task = await store.task("builtin:extract", { src });
    const nowhere = { ...task, outputs: new Map() };
    const context = { environment: {}, signal: new AbortController().signal };
    await assert.rejects(extract(nowhere, context), { code: "extract.output" });
    const [logical] = [...task.outputs.values()].map((output) => output.logical);
    assert.ok(logical);
    const outputs = new Map([["out", { logical, real: join(store.root, "no/such/out") }]]);
    await assert.rejects(
      extract({ ...task, outputs }, context),
      (error) => !hasCode(error, "extract.output") && /ENOENT/.test(String(error)),
    );
  });
});
