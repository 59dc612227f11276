import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  existsSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
  mkdirSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseContentAddress } from "../format/content-address.ts";
import { hashBytes } from "../format/hash.ts";
import { ByteReader } from "../util/byte-reader.ts";
import {
  addressed,
  bytesOf,
  chunksOf,
  exported,
  flatSample,
  importInto,
  namesIn,
  narOf,
  outcomes,
  sample,
  streamOf,
  testStore,
  textSample,
} from "./store.test.support.ts";

test("objects of every kind of address are imported, frozen and exported again", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const file = sample(directory, "hello.txt", "Hello, World!\n");
  const tree = sample(
    directory,
    "tree",
    {
      entries: {
        bin: { entries: { tool: { executable: "#!/bin/sh\n" } } },
        link: { target: "bin/tool" },
        empty: { entries: {} },
      },
    },
    [file.storePath],
  );
  const text = textSample(directory, "some.drv", "Derive()", [file.storePath]);
  const flat = flatSample(directory, "download", "bytes", "sha1");
  const nar = narOf({ entries: { a: "b" } });
  const recursive = addressed(directory, "unpacked", nar, {
    method: "recursive",
    hash: hashBytes("sha512", nar),
  });
  const stream = streamOf(file, tree, text, flat, recursive);
  assert.deepEqual(outcomes(await importInto(store, stream)), Array(5).fill("imported"));
  for (const object of [file, tree, text, flat, recursive]) {
    const { nar: _, ...info } = object;
    assert.deepEqual(store.info(object.storePath), info);
    assert.equal(await store.exists(object.storePath), true);
  }
  const root = store.realPath(tree.storePath);
  assert.equal(statSync(root).mode & 0o7777, 0o555);
  assert.equal(statSync(root).mtimeMs, 0);
  assert.equal(statSync(join(root, "bin/tool")).mode & 0o7777, 0o555);
  assert.equal(statSync(store.realPath(file.storePath)).mode & 0o7777, 0o444);
  assert.equal(statSync(store.realPath(file.storePath)).mtimeMs, 0);
  assert.equal(readlinkSync(join(root, "link")), "bin/tool");
  const paths = [file, tree, text, flat, recursive].map(({ storePath }) => storePath);
  const again = await store.export(paths, { excludeReferences: true });
  assert.deepEqual(await bytesOf(again.chunks()), stream);
});

test("an object without address is imported with its source address", async () => {
  await using context = await testStore();
  const object = sample(context.directory, "a", "a");
  const stream = streamOf(exported(object, { ca: undefined }));
  assert.deepEqual(outcomes(await importInto(context.store, stream)), ["imported"]);
  assert.deepEqual(context.store.info(object.storePath)?.ca, object.ca);
});

test("a rejected object costs only itself", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const good = sample(directory, "good", "good");
  const other = sample(directory, "other", "other");
  const needy = sample(directory, "needy", { entries: { a: "a" } }, [other.storePath]);
  const text = textSample(directory, "text", "text");
  const folder = narOf({ entries: {} });
  const executable = narOf({ executable: "text" });
  const stream = streamOf(
    exported(good, { storePath: "nowhere" }),
    exported(good, { storePath: "/opt/other/store/ffffffffffffffffffffffffffffffff-good" }),
    exported(good, { storePath: `${good.storePath}/inside` }),
    exported(good, { storePath: good.storePath.replace(directory, `${directory}/.`) }),
    exported(good, { storePath: `${good.storePath}/` }),
    exported(good, { storePath: other.storePath }),
    exported(good, { nar: other.nar }),
    exported(good, { references: ["/tmp"] }),
    exported(good, { references: [other.storePath] }),
    exported(good, { ca: parseContentAddress("text:md5:3ifgmmn3kcbh8nvyqm56w9wk6j") }),
    exported(text, { nar: folder }),
    exported(text, { nar: executable }),
    exported(text, { nar: narOf("texts") }),
    needy,
    exported(text, { ca: undefined }),
    good,
    good,
    other,
    needy,
  );
  assert.deepEqual(outcomes(await importInto(store, stream)), [
    "rejected path.invalid",
    "rejected path.invalid",
    "rejected path.invalid",
    "rejected path.invalid",
    "rejected path.invalid",
    "rejected path.mismatch",
    "rejected ca.mismatch",
    "rejected path.invalid",
    "rejected path.mismatch",
    "rejected ca.references",
    "rejected ca.fileType",
    "rejected ca.fileType",
    "rejected ca.mismatch",
    "rejected store.missingReference",
    "rejected path.mismatch",
    "imported",
    "present",
    "imported",
    "imported",
  ]);
  const names = [good, other, needy].map(({ storePath }) => storePath.slice(directory.length + 1));
  assert.deepEqual(namesIn(context.real), names.toSorted());
  await context.reopen();
  assert.deepEqual(
    [...context.store.list()],
    names.toSorted().map((name) => `${directory}/${name}`),
  );
  assert.deepEqual(readdirSync(context.store.temporaryDirectory), []);
});

test("what came before a fault in the stream stays, what comes after is not seen", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const first = sample(directory, "first", "first");
  const second = sample(directory, "second", "second");
  const faults: Buffer[] = [
    Buffer.from("0200000000000000", "hex"),
    exported(second).subarray(0, 100),
    exported(second, { nar: Buffer.from("nonsense, and more of it") }),
    exported(second).subarray(0, -3),
  ];
  for (const [i, fault] of faults.entries()) {
    const object = sample(directory, `object-${i}`, "x");
    const stream = Buffer.concat([exported(i === 0 ? first : object), fault]);
    await using importer = store.importer();
    await assert.rejects(importer.read(new ByteReader(chunksOf(stream, 7))));
    assert.deepEqual(outcomes(importer.reports), ["imported"]);
  }
  assert.equal(await store.exists(first.storePath), true);
  assert.equal(await store.exists(second.storePath), false);
  await context.reopen();
  assert.equal(namesIn(context.real).length, 4);
  assert.deepEqual(readdirSync(context.store.temporaryDirectory), []);
});

test("bytes after the end of the stream are left in the input", async () => {
  await using context = await testStore();
  const object = sample(context.directory, "a", "a");
  const input = new ByteReader(chunksOf(Buffer.concat([streamOf(object), Buffer.from("rest")])));
  await using importer = context.store.importer();
  await importer.read(input);
  assert.equal(String(await input.exact(4)), "rest");
  await importer.read(new ByteReader(chunksOf(streamOf(object))));
  assert.deepEqual(outcomes(importer.reports), ["imported", "present"]);
});

test("objects of one stream may refer to those before them, across batches", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const chain = [sample(directory, "object-0", "0")];
  for (let i = 1; i < 300; i++) {
    const before = chain[i - 1]!.storePath;
    chain.push(
      sample(directory, `object-${i}`, { entries: { before: { target: before } } }, [before]),
    );
  }
  const reports = await importInto(store, streamOf(...chain));
  assert.deepEqual(new Set(outcomes(reports)), new Set(["imported"]));
  assert.deepEqual(
    reports.map(({ storePath }) => storePath),
    chain.map(({ storePath }) => storePath),
  );
  assert.equal(store.closure([chain[299]!.storePath]).length, 300);
});

test("the same objects sent over several connections in different orders are imported once", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const added: string[] = [];
  store.onObjectAdded = ({ storePath }) => added.push(storePath);
  const objects = Array.from({ length: 40 }, (_, i) => sample(directory, `o${i}`, `content ${i}`));
  const streams = [objects, objects.toReversed(), objects, objects.toReversed()];
  const reports = await Promise.all(streams.map((list) => importInto(store, streamOf(...list))));
  const all = outcomes(reports.flat());
  assert.equal(all.filter((outcome) => outcome === "imported").length, 40);
  assert.equal(all.filter((outcome) => outcome === "present").length, 120);
  assert.equal(new Set(added).size, 40);
  assert.equal(added.length, 40);
});

test("a foreign file at the object's place is moved out of the way, and others are left alone", async () => {
  await using context = await testStore();
  const { store, directory, real } = context;
  const object = sample(directory, "a", { entries: { a: "a" } });
  const foreign = sample(directory, "b", "b");
  mkdirSync(store.realPath(object.storePath));
  writeFileSync(join(store.realPath(object.storePath), "foreign"), "");
  writeFileSync(store.realPath(foreign.storePath), "foreign");
  writeFileSync(join(real, "README"), "foreign");
  assert.equal(await store.exists(object.storePath), false);
  assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"]);
  assert.deepEqual(readdirSync(store.realPath(object.storePath)), ["a"]);
  await context.reopen();
  assert.equal(existsSync(store.realPath(foreign.storePath)), true);
  assert.equal(existsSync(join(real, "README")), true);
});

test("importing an object again repairs it when it is damaged or gone, and leaves it when it is whole", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", { entries: { a: "genuine", b: { entries: {} } } });
  const real = store.realPath(object.storePath);
  await importInto(store, streamOf(object));
  const { ino } = lstatSync(real);
  assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["present"]);
  assert.equal(lstatSync(real).ino, ino);
  // Change times have the resolution of the kernel's tick.
  await new Promise((done) => setTimeout(done, 10));
  // Whoever alters it may also set the times back.
  const { rmSync, chmodSync, utimesSync } = await import("node:fs");
  chmodSync(join(real, "a"), 0o644);
  writeFileSync(join(real, "a"), "altered");
  chmodSync(join(real, "a"), 0o444);
  utimesSync(join(real, "a"), 0, 0);
  await new Promise((done) => setTimeout(done, 10));
  assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"]);
  assert.deepEqual(
    await bytesOf((await store.export([object.storePath])).chunks()),
    streamOf(object),
  );
  chmodSync(real, 0o755);
  rmSync(real, { recursive: true });
  assert.equal(await store.exists(object.storePath), false);
  assert.deepEqual(outcomes(await importInto(store, streamOf(object))), ["imported"]);
  assert.equal(await store.exists(object.storePath), true);
});

test("symlinks to the outside are stored as they are, and what they point at is not touched", async () => {
  await using context = await testStore();
  const { store, directory, folder } = context;
  const outside = join(folder, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "file"), "outside", { mode: 0o600 });
  symlinkSync("nowhere", join(outside, "link"));
  const before = ["", "file", "link"].map((name) => lstatSync(join(outside, name)));
  const object = sample(directory, "links", {
    entries: {
      file: { target: join(outside, "file") },
      folder: { target: outside },
      up: { target: "../../../outside/file" },
    },
  });
  const single = sample(directory, "link", { target: outside });
  assert.deepEqual(outcomes(await importInto(store, streamOf(object, single))), [
    "imported",
    "imported",
  ]);
  assert.equal(await store.exists(`${object.storePath}/folder`), true);
  assert.equal(await store.exists(`${object.storePath}/folder/file`), false);
  assert.equal(await store.exists(single.storePath), true);
  assert.equal(await store.exists(`${single.storePath}/file`), false);
  await store.remove([object.storePath, single.storePath]);
  await context.reopen();
  for (const [i, name] of ["", "file", "link"].entries()) {
    const after = lstatSync(join(outside, name));
    assert.deepEqual(
      [after.mode, after.uid, after.mtimeMs, after.ctimeMs],
      [before[i]!.mode, before[i]!.uid, before[i]!.mtimeMs, before[i]!.ctimeMs],
    );
  }
});

test("a tree whose paths are too long for the system is rejected alone", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  let tree: Parameters<typeof sample>[2] = "deep";
  for (let i = 0; i < 30; i++) tree = { entries: { ["d".repeat(200)]: tree } };
  const deep = sample(directory, "deep", tree);
  const good = sample(directory, "good", "good");
  assert.deepEqual(outcomes(await importInto(store, streamOf(deep, good))), [
    "rejected file.pathTooLong",
    "imported",
  ]);
});

test("an import ends with its signal and keeps what was complete", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const first = sample(directory, "first", "first");
  const second = sample(directory, "second", "x".repeat(100_000));
  const abort = new AbortController();
  await using importer = store.importer({ signal: abort.signal });
  async function* stream(): AsyncGenerator<Buffer> {
    yield exported(first);
    yield exported(second).subarray(0, 50_000);
    abort.abort();
    yield exported(second).subarray(50_000);
  }
  await assert.rejects(importer.read(new ByteReader(stream())), { name: "AbortError" });
  assert.deepEqual(outcomes(importer.reports), ["imported"]);
});
