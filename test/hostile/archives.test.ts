// Hostile archives, unpacked by a daemon, with a well-behaved client beside.
// KILN_SEED=N repeats the fuzzing, KILN_FUZZ_SECONDS=N makes it longer.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  endMark,
  paxRecords,
  rawEntry,
  rawHeader,
  tar,
  zip,
} from "../../src/build/builtins/extract/archives.test.helper.ts";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { sample, streamOf } from "../../src/store/store.test.support.ts";
import { shell } from "../support/derivations.ts";
import { Place } from "../support/cli.ts";
import { randomFrom } from "../support/random.ts";
import { Session, type Built } from "../support/session.ts";
import { Bystander } from "./bystander.ts";

const seed = Number(process.env["KILN_SEED"] ?? Date.now() % 2 ** 31);
const fuzzSeconds = Number(process.env["KILN_FUZZ_SECONDS"] ?? 5);
const place = new Place();
const directory = parseStoreDirectory(place.store);
const outside = join(place.directory, "outside");
let session: Session;
let bystander: Bystander;

before(async () => {
  await place.serve();
  session = await Session.with(place);
  bystander = await Bystander.beside(place.socket);
});

after(async () => {
  await session[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

async function unpack(archive: Buffer): Promise<Built> {
  const name = createHash("sha256").update(archive).digest("hex").slice(0, 16);
  const source = sample(directory, `archive-${name}`, archive);
  await session.client.importStream([streamOf(source)]);
  const plain = shell(`unpacked-${name}`, "", { store: directory });
  const env = new Map([...plain.env].filter(([key]) => key === "out"));
  env.set("src", source.storePath);
  const derivation: Derivation = {
    ...plain,
    system: "builtin",
    builder: "builtin:extract",
    args: [],
    inputSources: [source.storePath],
    env: new Map([...env].toSorted()),
  };
  return await session.build(derivation);
}

const file = rawEntry({ name: "file" }, "fine");
const up = "../".repeat(30);
const link = (name: string, target: string, type = "2"): Buffer =>
  rawHeader({ name, target, type });
const tarOf = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, endMark]);

const hostile: Readonly<Record<string, Buffer | Promise<Buffer>>> = {
  "a name that goes up": tarOf(file, rawEntry({ name: `${up}${outside}` }, "x")),
  "a name that goes up in the middle": tarOf(file, rawEntry({ name: `a/../../${outside}` }, "x")),
  "a link to the outside, and a file through it": tarOf(
    link("way", place.directory),
    rawEntry({ name: "way/outside" }, "x"),
  ),
  "a link to above, and a file through it": tarOf(
    link("way", ".."),
    rawEntry({ name: "way/outside" }, "x"),
  ),
  "a link to itself, and a file through it": tarOf(
    link("way", "."),
    rawEntry({ name: "way/outside" }, "x"),
  ),
  "a folder through a link": tarOf(
    link("way", place.directory),
    rawHeader({ name: "way/outside/", type: "5" }),
  ),
  "a link through a link": tarOf(link("way", place.directory), link("way/outside", "/etc")),
  "a hard link to a host file": tarOf(link("passwd", "/etc/passwd", "1")),
  "a hard link that goes up": tarOf(link("passwd", `${up}etc/passwd`, "1")),
  "a hard link through a link": tarOf(link("way", "/etc"), link("passwd", "way/passwd", "1")),
  "a hard link to a link": tarOf(link("way", "/etc/passwd"), link("passwd", "way", "1")),
  "a character device": tarOf(rawHeader({ name: "null", type: "3" })),
  "a block device": tarOf(rawHeader({ name: "sda", type: "4" })),
  "a fifo": tarOf(rawHeader({ name: "fifo", type: "6" })),
  "an empty name": tarOf(rawEntry({ name: "" }, "x")),
  "a checksum that is wrong": tarOf(file, rawHeader({ checksum: (sum) => sum + 1 })),
  "a negative size": tarOf(rawHeader({ size: "-0000000001\0" })),
  "a size that is no number": tarOf(rawHeader({ size: "xxxxxxxxxxx\0" })),
  "a size of 8 EiB": tarOf(rawHeader({ size: "77777777777\0" }), Buffer.alloc(4096)),
  "a file that is cut": Buffer.concat([rawHeader({ size: "00000010000\0" }), Buffer.alloc(100)]),
  "a header that is cut": rawHeader({}).subarray(0, 300),
  "a pax name that goes up": tarOf(
    rawEntry({ type: "x" }, paxRecords([["path", `${up}${outside}`]])),
    file,
  ),
  "a pax size that lies": tarOf(
    rawEntry({ type: "x" }, paxRecords([["size", "99999999999999999999"]])),
    file,
  ),
  "a pax record that is longer than it is": tarOf(
    rawEntry({ type: "x" }, "999999999 path=a\n"),
    file,
  ),
  "a pax header of 100 MiB": tarOf(
    rawHeader({ type: "x", size: "00620000000\0" }),
    Buffer.alloc(4096),
  ),
  "a long name without end": tarOf(
    rawHeader({ type: "L", size: "00620000000\0" }),
    Buffer.alloc(4096),
  ),
  "a file of 100 GiB in gzip": gzipSync(
    tarOf(rawHeader({ size: "\u0080\0\0\0\0\0\0\u0019\0\0\0\0" }), Buffer.alloc(1_000_000)),
  ),
  "gzip that is cut": gzipSync(tarOf(file)).subarray(0, 40),
  "gzip that is damaged": (() => {
    const bytes = gzipSync(tarOf(file, rawEntry({ name: "more" }, "x".repeat(9000))));
    bytes[60]! ^= 0xff;
    return bytes;
  })(),
  "gzip of gzip": gzipSync(gzipSync(tarOf(file))),
  "bzip2 that is none": Buffer.from("BZh91AY&SY and then something else"),
  "xz that is none": Buffer.concat([Buffer.from("fd377a585a00", "hex"), Buffer.alloc(500, 1)]),
  "zstd that is none": Buffer.concat([Buffer.from("28b52ffd", "hex"), Buffer.alloc(500, 1)]),
  text: Buffer.from("this is not an archive"),
  nothing: Buffer.alloc(0),
  "a zip name that goes up": renamed(zip({ name: "aaaaaaa", data: "x" }), "aaaaaaa", "../../x"),
  "a zip name that is absolute": renamed(zip({ name: "aaaaaaa", data: "x" }), "aaaaaaa", "/tmp/xx"),
  "a zip link to the outside, and a file through it": zip(
    { name: "way", data: place.directory, mode: 0o120777 },
    { name: "way/outside", data: "x" },
  ),
  "a zip that is cut": zip({ name: "file", data: "x" }).then((bytes) => bytes.subarray(0, -10)),
  "a zip whose directory is elsewhere": zip({ name: "file", data: "x" }).then((bytes) => {
    bytes.writeUInt32LE(0xffff_fff0, bytes.length - 6);
    return bytes;
  }),
  "a zip whose size lies": zip({ name: "file", data: "x".repeat(5000) }).then((bytes) => {
    const at = bytes.indexOf(Buffer.from("504b0102", "hex"));
    bytes.writeUInt32LE(3, at + 24);
    return bytes;
  }),
};

async function renamed(archive: Promise<Buffer>, from: string, to: string): Promise<Buffer> {
  return Buffer.from((await archive).toString("latin1").replaceAll(from, to), "latin1");
}

/** What is beside the store: no archive may add to it. */
function surroundings(): string[] {
  return [place.directory, join(place.directory, "tmp")].flatMap((folder) =>
    readdirSync(folder).filter((name) => !/^(node-compile-cache|zb-build-.*)$/.test(name)),
  );
}

describe(`${Object.keys(hostile).length} hostile archives`, () => {
  for (const [name, archive] of Object.entries(hostile)) {
    test(`${name}: the build fails and says why, and nothing is outside`, async () => {
      const before = surroundings();
      const { status, log, result } = await unpack(await archive);
      assert.equal(status, "fail", log);
      assert.match(log, /^builtin:extract: \S.*\n/);
      assert.equal(result.outputs[0]?.path, null);
      assert.ok(!existsSync(outside));
      assert.deepEqual(surroundings(), before);
    });
  }
});

test(`for ${fuzzSeconds} s changed archives hurt nobody`, async () => {
  const random = randomFrom(seed);
  const originals = [
    await tar({ name: "a/b", data: "contents" }, { name: "c", type: "symlink", linkname: "a/b" }),
    await zip({ name: "a/b", data: "contents" }, { name: "c", data: "more ".repeat(100) }),
    gzipSync(await tar({ name: "a/b", data: "contents" })),
  ];
  const deadline = performance.now() + fuzzSeconds * 1000;
  let count = 0;
  for (; performance.now() < deadline; count++) {
    const bytes = Buffer.from(originals[Math.floor(random() * originals.length)]!);
    for (let left = 1 + random() * 6; left > 0; left--) {
      bytes[Math.floor(random() * bytes.length)] = random() * 256;
    }
    const { status, log } = await unpack(bytes);
    if (status !== "success") assert.match(log, /^builtin:extract: \S/, `KILN_SEED=${seed}`);
  }
  assert.ok(count > 5, `${count} archives`);
  assert.ok(!existsSync(outside));
});

test("the bystander has noticed nothing", async () => {
  const { median, slowest, mostMemory } = await bystander.end();
  assert.ok(median < 50, `median ${median} ms`);
  assert.ok(slowest < 2000, `slowest ${slowest} ms`);
  assert.ok(mostMemory < 700, `${mostMemory} MiB`);
});
