import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { linkSync, lstatSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { dumpNar } from "../../files/dump.ts";
import { SelfReferenceAnalyzer } from "../../format/references/self-references.ts";
import { DigestThread } from "../../store/digest-thread.ts";
import { NarDigest } from "../../store/nar-digest.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import { scanOutput, type ScanRequest } from "./scan.ts";

const own = "0123456789abcdfghijklmnpqrsvwxyz";
const input = "zyxwvsrqpnmlkjihgfdcba9876543210";

/** Large enough for the thread that hashes, and not to be read at once. */
const size = 9 * 1024 * 1024;

/** What is in the file, and where it differs from random bytes. */
const cases: readonly (readonly [what: string, at: number, text: string, self: boolean])[] = [
  ["mentions nothing", 0, "", false],
  ["mentions an input", size - 40, input, false],
  ["mentions itself at its beginning", 8, own, true],
  ["mentions itself at its end", size - 32, own, true],
];

for (const [what, at, text, self] of cases) {
  test(`a large output that ${what} is what a look by one thread finds`, async () => {
    await using folder = await temporaryDirectory(tmpdir(), "scan-");
    await using thread = new DigestThread();
    const tree = join(folder.path, "tree");
    const bytes = randomBytes(size);
    bytes[0] = 0;
    bytes.write(text, at, "latin1");
    writeFileSync(tree, bytes);
    const scan = await scanOutput(tree, requestTo(thread));
    const analyzer = new SelfReferenceAnalyzer(own);
    for (const chunk of dumpNar(tree)) analyzer.write(chunk);
    const { found, frozenEntries, ...rest } = scan;
    assert.deepEqual(rest, analyzer.finish());
    assert.equal(rest.self, self);
    assert.equal(frozenEntries, self ? undefined : 1);
    assert.deepEqual(
      [...found],
      [input, own].filter((digest) => digest === text),
    );
  });
}

test("a Mach-O file is looked at as one, even if it mentions nothing", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "scan-");
  await using thread = new DigestThread();
  const tree = join(folder.path, "tree");
  const [uuidCommand, uuidSize] = [0x1b, 24];
  const words = [0xfeedfacf, 0, 0, 0, 1, uuidSize, 0, 0, uuidCommand, uuidSize, 0, 0, 0, 0];
  writeFileSync(tree, Uint32Array.from(words));
  const refused = new Error("no memory for that");
  const buffers = (): never => {
    throw refused;
  };
  await assert.rejects(scanOutput(tree, { ...requestTo(thread), buffers }), refused);
});

test("what was looked at is frozen if it can be an object as it is", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "scan-");
  await using thread = new DigestThread();
  const tree = join(folder.path, "tree");
  mkdirSync(join(tree, "folder"), { recursive: true });
  writeFileSync(join(tree, "folder", "file"), "x");
  writeFileSync(join(tree, "program"), "x", { mode: 0o6711 });
  const { frozenEntries } = await scanOutput(tree, requestTo(thread));
  assert.equal(frozenEntries, 4);
  const found = ["", "folder", "folder/file", "program"].map((name) => {
    const { mode, mtimeMs } = lstatSync(join(tree, name));
    return [mode & 0o7777, mtimeMs];
  });
  assert.deepEqual(found, [
    [0o555, 0],
    [0o555, 0],
    [0o444, 0],
    [0o555, 0],
  ]);
});

test("what has names outside is not frozen yet when it was looked at", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "scan-");
  await using thread = new DigestThread();
  const [tree, outside] = [join(folder.path, "tree"), join(folder.path, "outside")];
  writeFileSync(tree, "x", { mode: 0o640 });
  linkSync(tree, outside);
  const { frozenEntries } = await scanOutput(tree, requestTo(thread));
  assert.equal(frozenEntries, undefined);
  assert.equal(lstatSync(outside).mode & 0o7777, 0o640);
});

test("many files begin to go to disk while they are looked at, all at once", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "scan-");
  await using thread = new DigestThread();
  const synced: string[] = [];
  for (let n = 0; n < 600; n++) writeFileSync(join(folder.path, String(n)), "x");
  await scanOutput(folder.path, requestTo(thread, synced));
  assert.deepEqual(synced, ["everything"]);
});

test("a file begins to go to disk while it is looked at if it is large", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "scan-");
  await using thread = new DigestThread();
  const synced: string[] = [];
  const large = join(folder.path, "a", "large");
  mkdirSync(join(folder.path, "a"));
  writeFileSync(large, "");
  truncateSync(large, 16 * 1024 * 1024);
  writeFileSync(join(folder.path, "small"), "small");
  await scanOutput(folder.path, requestTo(thread, synced));
  assert.deepEqual(synced, [large]);
});

function requestTo(thread: DigestThread, synced: string[] = []): ScanRequest {
  return {
    store: {
      digest: () => new NarDigest(thread),
      syncAhead: (file) => Promise.resolve(void synced.push(file)),
      syncAllAhead: () => Promise.resolve(void synced.push("everything")),
    },
    digest: own,
    candidates: [input],
    replaceable: new Set(),
    longestPath: 1000,
  };
}
