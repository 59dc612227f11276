import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { temporaryDirectory } from "../../../util/temp.ts";
import { Pace } from "../pace.ts";
import { shapeOf, type Shape } from "../task.test.helper.ts";
import { replaceBytes, zip } from "./archives.test.helper.ts";
import { Budget, defaultExtractLimits } from "./limits.ts";
import { openSource } from "./source-file.ts";
import { ArchiveTree } from "./tree.ts";
import { unpackZip } from "./zip.ts";

let folder: Awaited<ReturnType<typeof temporaryDirectory>>;
let count = 0;
before(async () => {
  folder = await temporaryDirectory(tmpdir(), "kiln-zip-");
});
after(async () => {
  await folder[Symbol.asyncDispose]();
});

async function unpack(archive: Buffer): Promise<Shape> {
  const path = join(folder.path, `archive-${count}`);
  const output = join(folder.path, `out-${count++}`);
  await writeFile(path, archive);
  using source = openSource(path, "");
  using tree = new ArchiveTree(output, {
    strip: false,
    budget: new Budget(defaultExtractLimits),
    pace: new Pace(new AbortController().signal),
  });
  await unpackZip(source, tree);
  tree.finish();
  return await shapeOf(output);
}

/** The byte of the central directory that says on what kind of host the entry was made. */
function madeOn(archive: Buffer, host: number): Buffer {
  const copy = Buffer.from(archive);
  copy.writeUInt8(host, copy.indexOf("PK\x01\x02", 0, "latin1") + 5);
  return copy;
}

/** The numbers of an entry, in both its headers: 8 flags and 10 method in the first, 2 bytes later in the second. */
function withField(archive: Buffer, field: 6 | 8, value: number): Buffer {
  const copy = Buffer.from(archive);
  copy.writeUInt16LE(value, copy.indexOf("PK\x03\x04", 0, "latin1") + field);
  copy.writeUInt16LE(value, copy.indexOf("PK\x01\x02", 0, "latin1") + field + 2);
  return copy;
}

describe("unpackZip", () => {
  it("unpacks what the zip program writes", async () => {
    const made = join(folder.path, "made");
    await mkdir(join(made, "d/empty"), { recursive: true });
    await writeFile(join(made, "d/text"), "some text\n".repeat(10_000));
    await writeFile(join(made, "d/nothing"), "");
    await writeFile(join(made, "d/grüße"), "x");
    await writeFile(join(made, "d/run"), "run", { mode: 0o755 });
    await symlink("../d/text", join(made, "d/link"));
    const path = join(folder.path, "made.zip");
    execFileSync("zip", ["-q", "-r", "-y", path, "d"], { cwd: made });
    assert.deepEqual(await unpack(await readFile(path)), await shapeOf(made));
  });

  it("unpacks large entries, stored and deflated", async () => {
    const data = Buffer.alloc(1 << 20, "0123456789abcdef").toString();
    const archive = await zip({ name: "a", data }, { name: "b", data, stored: true });
    assert.deepEqual(await unpack(archive), { a: data, b: data });
  });

  it("unpacks archives with a comment", async () => {
    const archive = await zip({ name: "a", data: "x" });
    const comment = Buffer.from("a comment");
    const commented = Buffer.concat([archive, comment]);
    commented.writeUInt16LE(comment.length, archive.length - 2);
    assert.deepEqual(await unpack(commented), { a: "x" });
  });

  it("takes entries in any order, directories from their slash or their mode", async () => {
    const archive = await zip(
      { name: "d/x", data: "x" },
      { name: "d/" },
      { name: "e", mode: 0o040755 },
      { name: "e/x", data: "y" },
    );
    assert.deepEqual(await unpack(archive), { d: { x: "x" }, e: { x: "y" } });
  });

  it("lets the last of several entries win", async () => {
    const archive = replaceBytes(
      await zip({ name: "ab", data: "first" }, { name: "xx", data: "second" }),
      "xx",
      "ab",
    );
    assert.deepEqual(await unpack(archive), { ab: "second" });
  });

  it("takes backslashes for slashes", async () => {
    const archive = replaceBytes(await zip({ name: "a/b/c", data: "x" }), "a/b/c", "a\\b\\c");
    assert.deepEqual(await unpack(archive), { a: { b: { c: "x" } } });
    for (const [from, to] of [
      ["aa/b", "..\\b"],
      ["a/b/", "\\\\b\\"],
    ] as const) {
      const hostile = replaceBytes(await zip({ name: `${from}/c` }), from, to);
      await assert.rejects(unpack(hostile), { code: "extract.entry" });
    }
  });

  for (const [from, to] of [
    ["aa/b", "../b"],
    ["aaaa", "/etc"],
    ["aaaa", "a\0aa"],
    ["aaaa", Buffer.from("caf\xe9", "latin1")],
  ] as const) {
    it(`refuses the name ${JSON.stringify(to.toString("latin1"))}`, async () => {
      const archive = replaceBytes(await zip({ name: from, data: "x" }), from, to);
      await assert.rejects(unpack(archive), { code: "extract.entry" });
    });
  }

  it("knows modes of Unix and macOS only", async () => {
    const archive = await zip({ name: "run", data: "x", mode: 0o100755 });
    assert.deepEqual(await unpack(madeOn(archive, 3)), { run: "*x" });
    assert.deepEqual(await unpack(madeOn(archive, 19)), { run: "*x" });
    for (const dos of [0, 11, 14])
      assert.deepEqual(await unpack(madeOn(archive, dos)), { run: "x" });
    const link = madeOn(await zip({ name: "link", data: "x", mode: 0o120777 }), 0);
    assert.deepEqual(await unpack(link), { link: "x" });
  });

  it("refuses encrypted entries and unknown methods by name", async () => {
    const archive = await zip({ name: "secret", data: "x" });
    await assert.rejects(unpack(withField(archive, 6, 1)), {
      code: "extract.entry",
      message: 'refused "secret": it is encrypted',
    });
    await assert.rejects(unpack(withField(archive, 8, 14)), {
      code: "extract.format",
      message: '"secret" is compressed by the unknown method 14',
    });
  });

  it("refuses wrong contents", async () => {
    for (const stored of [true, false]) {
      for (const length of [10, 1 << 20]) {
        const archive = await zip({ name: "a", data: "x".repeat(length), stored });
        const sum = archive.indexOf("PK\x01\x02", 0, "latin1") + 16;
        archive.writeUInt8(archive.readUInt8(sum) ^ 1, sum);
        await assert.rejects(unpack(archive), {
          code: "extract.damaged",
          message: 'the zip data are damaged: wrong checksum of "a"',
        });
      }
    }
    const damaged = await zip({ name: "a", data: "some words that are repeated, repeated" });
    damaged.fill(0xff, 31, 40);
    await assert.rejects(unpack(damaged), { code: "extract.damaged" });
  });

  it("refuses contents of another size than announced", async () => {
    for (const stored of [true, false]) {
      for (const length of [10, 1 << 20]) {
        for (const difference of [-1, 1]) {
          const archive = await zip({ name: "a", data: "x".repeat(length), stored });
          const size = archive.indexOf("PK\x01\x02", 0, "latin1") + 24;
          archive.writeUInt32LE(length + difference, size);
          await assert.rejects(unpack(archive), { code: "extract.damaged" });
        }
      }
    }
  });

  it("writes no more of an entry than was announced", async () => {
    for (const stored of [true, false]) {
      const archive = await zip({ name: "a", data: randomBytes(1 << 20), stored });
      archive.writeUInt32LE(200_000, archive.indexOf("PK\x01\x02", 0, "latin1") + 24);
      await assert.rejects(unpack(archive), {
        code: "extract.damaged",
        message: 'the zip data are damaged: "a" has not the 200000 bytes announced',
      });
      const { size } = await stat(join(folder.path, `out-${count - 1}`, "a"));
      assert.ok(size <= 200_000, `${size} bytes were written`);
    }
  });

  it("refuses archives that are cut short, wherever", async () => {
    const archive = await zip({ name: "a", data: "contents" }, { name: "b", data: "more" });
    for (let length = 0; length < archive.length; length++) {
      await assert.rejects(unpack(archive.subarray(0, length)), { code: "extract.damaged" });
    }
  });

  it("refuses offsets that lead nowhere", async () => {
    const archive = await zip({ name: "a", data: "contents" });
    const offset = archive.indexOf("PK\x01\x02", 0, "latin1") + 42;
    for (const value of [1, archive.length - 1, archive.length, 0xfffffffe]) {
      const copy = Buffer.from(archive);
      copy.writeUInt32LE(value, offset);
      await assert.rejects(unpack(copy), { code: "extract.damaged" });
    }
  });

  it("leaves the descriptor of the archive to its owner", async () => {
    const path = join(folder.path, "kept.zip");
    await writeFile(path, await zip({ name: "a", data: "x" }));
    const source = openSource(path, "");
    using tree = new ArchiveTree(join(folder.path, "kept"), {
      strip: false,
      budget: new Budget(defaultExtractLimits),
      pace: new Pace(new AbortController().signal),
    });
    await unpackZip(source, tree);
    // The lowest free descriptor is not that of the archive, and that can be closed: once.
    const other = openSync(path, "r");
    assert.notEqual(other, source.fd);
    closeSync(other);
    source[Symbol.dispose]();
    assert.throws(() => closeSync(source.fd), { code: "EBADF" });
  });
});
