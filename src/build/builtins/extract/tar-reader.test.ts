import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { ByteReader } from "../../../util/byte-reader.ts";
import { endMark, paxRecords, rawEntry, rawHeader, tar } from "./archives.test.helper.ts";
import { isTarHeader, type TarEntry, TarReader } from "./tar-reader.ts";

type ReadEntry = Omit<TarEntry, "name" | "target"> & {
  name: string;
  target: string;
  data: string;
};

async function* chunks(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function readTar(
  archive: Buffer | readonly Buffer[],
  chunkSize = 1000,
): Promise<{ entries: ReadEntry[]; endMarked: boolean }> {
  const whole = Buffer.isBuffer(archive) ? archive : Buffer.concat(archive);
  const reader = new TarReader(new ByteReader(chunks(whole, chunkSize)));
  const entries: ReadEntry[] = [];
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    const parts: Buffer[] = [];
    for (let data = await reader.data(); data !== undefined; data = await reader.data()) {
      parts.push(Buffer.from(data));
    }
    entries.push({
      ...entry,
      name: entry.name.toString("latin1"),
      target: entry.target.toString("latin1"),
      data: Buffer.concat(parts).toString("latin1"),
    });
  }
  return { entries, endMarked: reader.endMarked };
}

const plain = { target: "", executable: false } as const;
const file = (name: string, data = ""): ReadEntry => {
  return { ...plain, type: "file", name, size: data.length, data };
};

function signedSum(unsigned: number, block: Buffer): number {
  return unsigned - 256 * block.filter((byte) => byte > 127).length;
}

describe("TarReader", () => {
  it("reads every type", async () => {
    const archive = await tar(
      { name: "d/", type: "directory" },
      { name: "d/f", data: "contents" },
      { name: "d/x", data: "run", mode: 0o755 },
      { name: "d/s", type: "symlink", linkname: "f" },
      { name: "d/h", type: "link", linkname: "d/f" },
    );
    const { entries, endMarked } = await readTar(archive);
    assert.equal(endMarked, true);
    const none = { size: 0, data: "" };
    assert.deepEqual(entries, [
      { ...plain, ...none, type: "directory", name: "d/", executable: true },
      file("d/f", "contents"),
      { ...file("d/x", "run"), executable: true },
      { ...plain, ...none, type: "symlink", name: "d/s", target: "f", executable: false },
      { ...plain, ...none, type: "hardLink", name: "d/h", target: "d/f", executable: false },
    ]);
  });

  it("reads the same, however the archive is cut into chunks", async () => {
    const item = fc.record({
      name: fc.stringMatching(/^[a-z]{1,5}(\/[a-z]{1,60}){0,6}$/),
      data: fc.string({ maxLength: 1500 }),
      mode: fc.constantFrom(0o644, 0o755),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(item, { maxLength: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        async (items, chunkSize) => {
          const { entries } = await readTar(await tar(...items), chunkSize);
          const want = items.map(({ name, data, mode }) => ({
            ...file(name, Buffer.from(data).toString("latin1")),
            executable: mode === 0o755,
          }));
          assert.deepEqual(entries, want);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("survives any bytes", async () => {
    const blocks = fc.array(
      fc.oneof(
        fc.constant(rawHeader({ type: "x", size: "00000000014\0" })),
        fc.constant(rawHeader({ type: "L", size: "00000001000\0" })),
        fc.constant(rawHeader({ size: "\x80\0\0\0\0\0\0\0\0\0\x03\0" })),
        fc.constant(Buffer.alloc(512)),
        fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      ),
    );
    await fc.assert(
      fc.asyncProperty(blocks, async (parts) => {
        await readTar(parts).catch((error: unknown) => {
          assert.match(String(error), /^KilnError/);
        });
      }),
    );
  });

  it("passes over contents that nobody reads", async () => {
    const archive = await tar({ name: "a", data: "x".repeat(5000) }, { name: "b", data: "y" });
    const reader = new TarReader(new ByteReader(chunks(archive, 100)));
    assert.equal((await reader.next())?.name.toString(), "a");
    assert.equal((await reader.next())?.name.toString(), "b");
    assert.equal((await reader.data())?.toString(), "y");
    assert.equal(await reader.next(), undefined);
    assert.equal(await reader.next(), undefined);
  });

  it("ends at two blocks of zeros and reads no further", async () => {
    const archive = [rawEntry({ name: "a" }), endMark, rawEntry({ name: "b" }), Buffer.from("!")];
    assert.deepEqual((await readTar(archive)).entries, [file("a")]);
  });

  it("says whether the end was marked", async () => {
    const entry = rawEntry({ name: "a" }, "x");
    const want = [file("a", "x")];
    assert.deepEqual(await readTar([entry, endMark]), { entries: want, endMarked: true });
    const one = endMark.subarray(512);
    assert.deepEqual(await readTar([entry, one]), { entries: want, endMarked: true });
    assert.deepEqual(await readTar(entry), { entries: want, endMarked: false });
    assert.deepEqual(await readTar([]), { entries: [], endMarked: false });
  });

  it("refuses a lone block of zeros", async () => {
    const archive = [rawEntry({}), Buffer.alloc(512), rawEntry({})];
    await assert.rejects(readTar(archive), {
      code: "extract.damaged",
      message: /: a lone block of zeros at byte 1536$/,
    });
  });

  it("ignores global pax headers", async () => {
    const records = paxRecords([
      ["path", "elsewhere"],
      ["size", "1"],
      ["comment", "hello"],
    ]);
    const archive = [
      rawEntry({ type: "g", name: "pax_global_header" }, records),
      rawEntry({ name: "a" }, "contents"),
      rawEntry({ type: "x" }, paxRecords([["mtime", "1.5"]])),
      rawEntry({ name: "b" }, "contents"),
      endMark,
    ];
    const { entries } = await readTar(archive);
    assert.deepEqual(entries, [file("a", "contents"), file("b", "contents")]);
  });

  it("takes names, targets and sizes from pax headers, for one entry", async () => {
    const long = `${"é/".repeat(300)}a`;
    const archive = [
      rawEntry(
        { type: "x" },
        paxRecords([
          ["path", long],
          ["size", "3"],
          ["foo", "bar"],
        ]),
      ),
      rawEntry({ size: "00000000000\0" }),
      Buffer.from("abc".padEnd(512, "\0")),
      rawEntry({ type: "x" }, paxRecords([["linkpath", "caf\xe9"]])),
      rawEntry({ name: "link", type: "2", target: "short" }),
      rawEntry({ name: "after", type: "2", target: "short" }),
      endMark,
    ];
    const { entries } = await readTar(archive);
    const shown = entries.map(({ name, target, data }) => [name, target, data]);
    assert.deepEqual(shown, [
      [Buffer.from(long).toString("latin1"), "", "abc"],
      ["link", Buffer.from("caf\xe9").toString("latin1"), ""],
      ["after", "short", ""],
    ]);
  });

  it("keeps bytes of pax names as they are, UTF-8 or not", async () => {
    const path = Buffer.from("caf\xe9", "latin1");
    const archive = [rawEntry({ type: "x" }, paxRecords([["path", path]])), rawEntry({}), endMark];
    assert.equal((await readTar(archive)).entries[0]?.name, "caf\xe9");
  });

  it("falls back on the header where a pax record is empty", async () => {
    const records = paxRecords([
      ["path", "a"],
      ["path", ""],
      ["size", ""],
    ]);
    const archive = [rawEntry({ type: "x" }, records), rawEntry({ name: "b" }, "data"), endMark];
    assert.deepEqual((await readTar(archive)).entries, [file("b", "data")]);
  });

  for (const [name, records] of [
    ["no length", " path=a\n"],
    ["a length of no digits", "0xb path=a\n"],
    ["a length too long", "12 path=ab\n"],
    ["a length too short", "9 path=ab\n"],
    ["no equals sign", "9 pathab\n"],
    ["no newline", "10 path=ab "],
    ["a length of 0", "0 path=a\n"],
    ["a size that is none", "10 size=1x\n"],
    ["a negative size", "10 size=-1\n"],
    ["an enormous size", "25 size=9007199254740993\n"],
  ] as const) {
    it(`refuses a pax header with ${name}`, async () => {
      const archive = [rawEntry({ type: "x" }, records), rawEntry({}), endMark];
      await assert.rejects(readTar(archive), { code: "extract.damaged" });
    });
  }

  it("refuses sparse files of every kind", async () => {
    const records = paxRecords([["GNU.sparse.major", "1"]]);
    for (const archive of [
      [rawEntry({ type: "S" }), endMark],
      [rawEntry({ type: "x" }, records), rawEntry({}), endMark],
    ]) {
      await assert.rejects(readTar(archive), { code: "extract.entry", message: /sparse/ });
    }
  });

  it("takes long names and targets from GNU headers", async () => {
    const long = "long/".repeat(50);
    const archive = [
      rawEntry({ type: "L", name: "././@LongLink" }, `${long}a\0`),
      rawEntry({ type: "K", name: "././@LongLink" }, `${long}b\0`),
      rawEntry({ name: long.slice(0, 100), type: "2", magic: "ustar  \0" }),
      endMark,
    ];
    const [entry] = (await readTar(archive)).entries;
    assert.deepEqual([entry?.name, entry?.target], [`${long}a`, `${long}b`]);
  });

  it("puts the prefix of a ustar name before it, and no other's", async () => {
    const ustar = rawEntry({ name: "name", prefix: "some/where" });
    const gnu = rawEntry({ name: "name", prefix: "times", magic: "ustar  \0" });
    const v7 = rawEntry({ name: "name", prefix: "rubbish", magic: "" });
    const { entries } = await readTar([ustar, gnu, v7, endMark]);
    assert.deepEqual(
      entries.map(({ name }) => name),
      ["some/where/name", "name", "name"],
    );
  });

  it("takes names that fill their fields", async () => {
    const name = "n".repeat(100);
    const { entries } = await readTar([rawEntry({ name, type: "2", target: name }), endMark]);
    assert.deepEqual([entries[0]?.name, entries[0]?.target], [name, name]);
  });

  it("takes a v7 name that ends in a slash for a directory", async () => {
    const archive = [rawEntry({ name: "d/", type: "\0", magic: "" }), endMark];
    assert.equal((await readTar(archive)).entries[0]?.type, "directory");
    const contents = [rawEntry({ name: "d/", type: "\0", magic: "" }, "data"), endMark];
    await assert.rejects(readTar(contents), { code: "extract.damaged" });
  });

  it("expects no contents of links and directories, whatever size they announce", async () => {
    const size = "00000001000\0";
    const links = ["1", "2", "5"].map((type) => rawHeader({ name: type, type, size, target: "t" }));
    const { entries } = await readTar([...links, rawEntry({ name: "f" }, "data"), endMark]);
    assert.deepEqual(
      entries.map(({ name, size: announced }) => [name, announced]),
      [
        ["1", 0],
        ["2", 0],
        ["5", 0],
        ["f", 4],
      ],
    );
  });

  for (const [name, size] of [
    ["blanks before", "         10\0"],
    ["blanks behind", "10         \0"],
    ["a blank at the end", "00000000010 "],
    ["no end", "000000000010"],
    ["zeros before", "\0\0\0\0\0\0\0\0\x0010\0"],
    ["base 256", "\x80\0\0\0\0\0\0\0\0\0\0\x08"],
  ] as const) {
    it(`reads a size with ${name}`, async () => {
      const data = Buffer.from("12345678".padEnd(512, "\0"));
      const archive = [rawHeader({ name: "a", size }), data, endMark];
      assert.deepEqual((await readTar(archive)).entries, [file("a", "12345678")]);
    });
  }

  for (const [name, size] of [
    ["other digits", "0000000008x\0"],
    ["a sign", "-0000000010\0"],
    ["a gap", "0000 000010\0"],
    ["a negative number in base 256", "\xff".repeat(12)],
    ["more than 2^53 bytes", `\x80\0\0\0${"\xff".repeat(8)}`],
  ] as const) {
    it(`refuses a size with ${name}`, async () => {
      const archive = [rawHeader({ size }), endMark];
      await assert.rejects(readTar(archive), { code: "extract.damaged" });
    });
  }

  it("announces the size of what is not there, and then says that it is cut short", async () => {
    const header = rawHeader({ name: "huge", size: "77777777777\0" });
    const reader = new TarReader(new ByteReader(chunks(header, 512)));
    assert.equal((await reader.next())?.size, 8 ** 11 - 1);
    await assert.rejects(reader.data(), { code: "extract.truncated", message: /at byte 512$/ });
  });

  it("refuses headers of more than a megabyte before reading them", async () => {
    for (const type of ["x", "L", "K"]) {
      const archive = [rawHeader({ type, size: "00004000001\0" })];
      await assert.rejects(readTar(archive), { code: "extract.damaged", message: /1048577 bytes/ });
    }
  });

  it("accepts checksums of signed bytes, and no other", async () => {
    const name = Buffer.from("caf\xe9", "latin1");
    const archive = [rawHeader({ name, checksum: signedSum }), endMark];
    assert.equal((await readTar(archive)).entries[0]?.name, "caf\xe9");
    const wrong = [rawHeader({ name, checksum: (sum) => sum + 1 }), endMark];
    await assert.rejects(readTar(wrong), {
      code: "extract.damaged",
      message: "not a tar archive, or a damaged one: wrong checksum of a header at byte 512",
    });
  });

  it("refuses an archive that ends after headers about the next entry", async () => {
    const archive = [rawEntry({ type: "x" }, paxRecords([["path", "a"]])), endMark];
    await assert.rejects(readTar(archive), { code: "extract.truncated" });
  });
});

describe("isTarHeader", () => {
  it("knows headers of all dialects and the end mark", () => {
    for (const magic of ["ustar\x0000", "ustar  \0", ""]) {
      assert.equal(isTarHeader(rawHeader({ magic })), true);
    }
    assert.equal(isTarHeader(endMark), true);
  });

  it("knows nothing else", () => {
    assert.equal(isTarHeader(Buffer.alloc(511)), false);
    assert.equal(isTarHeader(Buffer.alloc(512, "x")), false);
    assert.equal(isTarHeader(rawHeader({ checksum: (sum) => sum + 1 })), false);
  });
});
