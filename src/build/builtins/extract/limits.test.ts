import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { compressors, ExtractBench } from "./bench.test.helper.ts";
import { endMark, rawHeader, tar, zip } from "./archives.test.helper.ts";

const bench = new ExtractBench();

function manyFiles(count: number): Buffer {
  const headers = Array.from({ length: count }, (_, i) => rawHeader({ name: `f${i}` }));
  return Buffer.concat([...headers, endMark]);
}

describe("builtin:extract keeps to limits", () => {
  it("of entries", async () => {
    assert.equal(
      Object.keys(await bench.unpack(manyFiles(100), { limits: { entries: 100 } })).length,
      100,
    );
    await assert.rejects(bench.unpack(manyFiles(101), { limits: { entries: 100 } }), {
      code: "extract.limit",
      message: /the archive has more than 100 entries$/,
    });
  });

  it("of entries, with directories that are only implied", async () => {
    const archive = await tar({ name: "a/b/c/d/e" }, { name: "a/b/c/f/g" });
    assert.ok(await bench.unpack(archive, { limits: { entries: 7 } }));
    await assert.rejects(bench.unpack(archive, { limits: { entries: 6 } }), {
      code: "extract.limit",
    });
  });

  it("of entries, when all of them are the same", async () => {
    const archive = Buffer.concat([...Array.from({ length: 11 }, () => rawHeader({})), endMark]);
    await assert.rejects(bench.unpack(archive, { limits: { entries: 10 } }), {
      code: "extract.limit",
    });
  });

  it("of depth", async () => {
    const name = `${"d/".repeat(512)}file`;
    assert.ok(await bench.unpack(await tar({ name })));
    await assert.rejects(bench.unpack(await tar({ name: `d/${name}` })), { code: "extract.limit" });
  });

  for (const [name, compress] of compressors) {
    it(`of bytes, in a ${name} tar archive`, async () => {
      const archive = compress(await tar({ name: "zeros", data: Buffer.alloc(1 << 20) }));
      assert.ok(await bench.unpack(archive, { limits: { bytes: 2 << 20 } }));
      await assert.rejects(bench.unpack(archive, { limits: { bytes: (1 << 20) - 1 } }), {
        code: "extract.limit",
      });
    });
  }

  it("of bytes, together with copies made for hard links", async () => {
    const archive = await tar(
      { name: "a", data: Buffer.alloc(1000) },
      { name: "b", type: "link", linkname: "a" },
    );
    assert.ok(await bench.unpack(archive, { limits: { bytes: 2000 } }));
    await assert.rejects(bench.unpack(archive, { limits: { bytes: 1999 } }), {
      code: "extract.limit",
    });
  });

  it("of bytes, after the end of the archive", async () => {
    const archive = gzipSync(Buffer.concat([await tar({ name: "a" }), Buffer.alloc(1 << 20)]));
    await assert.rejects(bench.unpack(archive, { limits: { bytes: 1 << 19 } }), {
      code: "extract.limit",
    });
  });

  it("of bytes, in a zip archive, whatever its sizes say", async () => {
    const archive = await zip({ name: "zeros", data: Buffer.alloc(1 << 20) });
    await assert.rejects(bench.unpack(archive, { limits: { bytes: 1 << 19 } }), {
      code: "extract.limit",
    });
    const size = Buffer.alloc(4);
    size.writeUInt32LE(1 << 20);
    const lying = Buffer.from(archive);
    for (let at = lying.indexOf(size); at !== -1; at = lying.indexOf(size, at + 1)) {
      lying.writeUInt32LE(1000, at);
    }
    await assert.rejects(bench.unpack(lying), { code: "extract.damaged" });
  });
});
