import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs, {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ByteReader } from "../util/byte-reader.ts";
import { SmallFiles } from "./small-files.ts";
import {
  chunksOf,
  exported,
  flatSample,
  importInto,
  namesIn,
  outcomes,
  sample,
  streamOf,
  testStore,
  type Sample,
} from "./store.test.support.ts";

test("there is room for small files only, as long as there is any, and it is given back once", () => {
  const memory = new SmallFiles(3000).shelf();
  assert.equal(memory.take(16 * 1024 + 1, false), undefined);
  const first = memory.take(2000, true);
  assert.ok(first);
  assert.equal(memory.take(2000, false), undefined);
  first.add(Buffer.alloc(1500, "a"));
  first.add(Buffer.alloc(500, "b"));
  assert.equal(first.bytes.toString(), "a".repeat(1500) + "b".repeat(500));
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const next = memory.take(2000, false);
  assert.ok(next);
  assert.equal(memory.take(2000, false), undefined);
});

test("small files have memory of their own, whatever their sizes", () => {
  const [one, other] = [new SmallFiles().shelf(), new SmallFiles().shelf()];
  const files = Array.from({ length: 300 }, (_, index) => {
    const size = (index * 977) % 16_385;
    const file = (index % 3 === 0 ? one : other).take(size, false);
    file?.add(Buffer.alloc(size, index));
    return { file, size, index };
  });
  for (const { file, size, index } of files) {
    assert.ok(file?.bytes.equals(Buffer.alloc(size, index)), `${index}`);
  }
});

test("whatever becomes of small files, the memory they had is free for the next", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  /** A store has memory for some two thousand of them. */
  const file = (name: string): Sample => sample(directory, "small", name.padEnd(16_384, "."));
  /** Whether what is imported went by way of the disk. */
  const landings = (): string[] =>
    readdirSync(store.temporaryDirectory).filter((name) => name.startsWith("import-"));
  await using importer = store.importer();
  const send = async (...objects: readonly (Sample | Buffer)[]): Promise<string[]> => {
    await importer.read(new ByteReader(chunksOf(streamOf(...objects))));
    return outcomes(importer.reports.splice(0));
  };
  const wrong = exported(file("wrong"), { storePath: file("other").storePath });
  const cut = wrong.subarray(0, 1000);
  const [rounds, each] = [6, 400];
  for (let round = 0; round < rounds; round++) {
    const good = Array.from({ length: each }, (_, index) => file(`${round} ${index}`));
    const rejected = await send(...good.map(() => wrong));
    assert.deepEqual(rejected, Array(each).fill("rejected path.mismatch"));
    for (let index = 0; index < each; index++) {
      await assert.rejects(importer.read(new ByteReader(chunksOf(cut))));
    }
    for (const status of ["imported", "present"]) {
      assert.deepEqual(await send(...good), Array(each).fill(status));
    }
  }
  assert.deepEqual(landings(), []);
  await send(sample(directory, "tree", { entries: {} }));
  assert.equal(landings().length, 1);
});

test("a small file is frozen, and whose it should be, in a store directory with a group and a umask of their own", async (t) => {
  await using context = await testStore();
  const { store, directory, real } = context;
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) chownSync(real, 0, 12_345);
  chmodSync(real, 0o3775);
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  const objects = ["plain", { executable: "program" }, "another", { executable: "other" }].map(
    (tree, index) => sample(directory, `file-${index}`, tree),
  );
  assert.deepEqual(
    outcomes(await importInto(store, streamOf(...objects))),
    Array(4).fill("imported"),
  );
  for (const [index, { storePath }] of objects.entries()) {
    const { mode, gid, mtimeMs } = statSync(store.realPath(storePath));
    assert.equal(mode & 0o7777, index % 2 === 0 ? 0o444 : 0o555);
    assert.equal(mtimeMs, 0);
    if (isRoot) assert.equal(gid, 0);
  }
});

test("a small file takes the place of a damaged object, and of what is no object", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", "genuine");
  const place = store.realPath(object.storePath);
  mkdirSync(join(place, "foreign"), { recursive: true });
  for (const damage of ["not registered", "altered", "gone", "of another kind"]) {
    // Change times have the resolution of the kernel's tick.
    await new Promise((done) => setTimeout(done, 10));
    if (damage !== "not registered") rmSync(place, { recursive: true });
    if (damage === "altered") writeFileSync(place, "altered");
    if (damage === "of another kind") mkdirSync(place);
    assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"], damage);
    assert.equal(readFileSync(place, "latin1"), "genuine", damage);
    assert.equal(statSync(place).mode & 0o7777, 0o444);
  }
  assert.deepEqual(readdirSync(store.temporaryDirectory), []);
});

/** Lets `fs[name]` do its work where `isMeant`, and then fail as on a full disk. */
function failing(
  t: TestContext,
  name: "writeSync" | "closeSync",
  isMeant: (fd: number, bytes?: unknown) => boolean,
): Disposable {
  const original: (...args: never[]) => unknown = fs[name];
  const mocked = t.mock.method(fs, name, function (...args: never[]): unknown {
    const result = Reflect.apply(original, fs, args);
    if (!isMeant(...(args as unknown as [number, unknown]))) return result;
    const error = new Error(`EDQUOT: disk quota exceeded, ${name}`);
    throw Object.assign(error, { code: "EDQUOT", errno: -122 });
  });
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]: () => {
      mocked.mock.restore();
      syncBuiltinESMExports();
    },
  };
}

function isContents(bytes: unknown): boolean {
  return Buffer.isBuffer(bytes) && bytes.toString() === "contents";
}

test("a small file that the disk does not take after all leaves no descriptor", async (t) => {
  await using context = await testStore();
  const { store, directory } = context;
  // What is not hashed while it is received is read from disk.
  const object = flatSample(directory, "a", "contents", "sha1");
  await importInto(store, streamOf(sample(directory, "first", "first")));
  const before = readdirSync("/proc/self/fd").length;
  {
    using _full = failing(t, "writeSync", (_fd, bytes) => isContents(bytes));
    for (let time = 0; time < 3; time++) {
      assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["rejected disk.full"]);
    }
  }
  assert.equal(readdirSync("/proc/self/fd").length, before);
  assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"]);
});

for (const name of ["writeSync", "closeSync"] as const) {
  test(`nothing stays in the place of a small file when ${name} fails`, async (t) => {
    await using context = await testStore();
    const { store, directory } = context;
    const object = sample(directory, "a", "contents");
    {
      let meant: number | undefined;
      using _seen = failing(t, "writeSync", (fd, bytes) => {
        if (isContents(bytes)) meant = fd;
        return name === "writeSync" && fd === meant;
      });
      using _full = failing(t, "closeSync", (fd) => name === "closeSync" && fd === meant);
      assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["rejected disk.full"]);
    }
    assert.deepEqual(namesIn(context.real), []);
    assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"]);
  });
}

test("what has the name of a small file and is no object stays until the file is there, whole", async (t) => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", "contents");
  const place = store.realPath(object.storePath);
  writeFileSync(place, "somebody's");
  {
    using _full = failing(t, "writeSync", (_fd, bytes) => isContents(bytes));
    assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["rejected disk.full"]);
  }
  assert.equal(readFileSync(place, "latin1"), "somebody's");
  // A crash before it is in place must not take away what is somebody's, and has to take away half a file.
  await new Promise((done) => setTimeout(done, 1100));
  const record = (): unknown =>
    context.store.database
      .prepare("insert into intents (path, inode, created_at) values (?, null, ?)")
      .run(object.storePath, Date.now());
  record();
  await context.reopen();
  assert.equal(readFileSync(place, "latin1"), "somebody's");
  rmSync(place);
  record();
  writeFileSync(place, "cont");
  await context.reopen();
  assert.deepEqual(namesIn(context.real), []);
  writeFileSync(place, "somebody's");
  assert.deepEqual(outcomes(await importInto(context.store, streamOf(object))), ["imported"]);
  assert.equal(readFileSync(place, "latin1"), "contents");
});

test("a small file takes the place of what came there after it was received", async (t) => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", "contents");
  const place = store.realPath(object.storePath);
  const { openSync } = fs;
  const opening = t.mock.method(fs, "openSync", (path: string, ...how: [string, number?]) => {
    if (path === place && !namesIn(context.real).length) mkdirSync(place);
    return openSync(path, ...how);
  });
  syncBuiltinESMExports();
  assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"]);
  opening.mock.restore();
  syncBuiltinESMExports();
  assert.equal(readFileSync(place, "latin1"), "contents");
  assert.deepEqual(readdirSync(store.temporaryDirectory), []);
});
