import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { StorePath } from "../format/store-path.ts";
import { ByteReader } from "../util/byte-reader.ts";
import {
  chunksOf,
  importInto,
  becomesPast,
  namesIn,
  sample,
  streamOf,
  testStore,
  type Sample,
  type TestStore,
} from "./store.test.support.ts";

/** base <- middle <- top, and `alone`. */
async function chain({ store, directory }: TestStore): Promise<Record<string, Sample>> {
  const base = sample(directory, "base", "base");
  const middle = sample(directory, "middle", { entries: {} }, [base.storePath]);
  const top = sample(directory, "top", "top", [middle.storePath]);
  const alone = sample(directory, "alone", "alone");
  await importInto(store, streamOf(base, middle, top, alone));
  await becomesPast();
  return { base, middle, top, alone };
}

function pathsOf(objects: readonly { readonly path: StorePath }[]): string[] {
  return objects.map(({ path }) => path.slice(path.indexOf("-") + 1));
}

function pathOf(objects: Record<string, Sample>, name: string): StorePath {
  const path = objects[name]?.storePath;
  assert.ok(path !== undefined);
  return path;
}

test("what no root needs goes, referrers first; what a root needs stays", async () => {
  await using context = await testStore();
  const { store } = context;
  const objects = await chain(context);
  await store.addRoot({ name: "keep", target: pathOf(objects, "middle"), user: "uid 7" });
  const first = await store.collect({ olderThan: 0 });
  assert.deepEqual(pathsOf(first.removed).toSorted(), ["alone", "top"]);
  assert.equal(first.left.count, 2);
  assert.equal(first.bytes, (objects["alone"]?.narSize ?? 0) + (objects["top"]?.narSize ?? 0));
  assert.equal(namesIn(context.real).length, 2);
  assert.deepEqual(
    store.roots().map(({ name, kind, user }) => ({ name, kind, user })),
    [{ name: "keep", kind: "name", user: "uid 7" }],
  );
  await store.removeRoot("keep");
  await becomesPast();
  const { removed } = await store.collect({ olderThan: 0 });
  assert.deepEqual(pathsOf(removed), ["middle", "base"]);
  assert.deepEqual(namesIn(context.real), []);
  await assert.rejects(store.removeRoot("keep"), { code: "root.missing" });
});

test("what was used lately stays with all it refers to, and is counted", async () => {
  await using context = await testStore();
  const { store } = context;
  const objects = await chain(context);
  const untouched = await store.collect();
  assert.deepEqual([untouched.count, untouched.recent, untouched.left.count], [0, 4, 4]);
  const before = Date.now();
  await becomesPast();
  store.info(pathOf(objects, "middle"));
  const { removed, recent } = await store.collect({ olderThan: Date.now() - before });
  assert.deepEqual(pathsOf(removed).toSorted(), ["alone", "top"]);
  assert.equal(recent, 2);
});

test("uses are remembered when the store is closed", async () => {
  await using context = await testStore();
  const objects = await chain(context);
  const long = Date.now() - 3_600_000;
  context.store.database.prepare("update objects set registered_at = ?").run(long);
  await context.store.exists(`${pathOf(objects, "alone")}/not/there`);
  const store = await context.reopen();
  const { removed } = await store.collect();
  assert.deepEqual(pathsOf(removed), ["top", "middle", "base"]);
});

test("a link is a root as long as it is there, wherever it points at the time", async () => {
  await using context = await testStore();
  const { store } = context;
  const objects = await chain(context);
  const link = join(context.folder, "result");
  const at = (name: string): string => store.realPath(pathOf(objects, name));
  symlinkSync(at("top"), link);
  const made = await store.addRoot({ name: link });
  assert.equal(made.target, pathOf(objects, "top"));
  rmSync(link);
  symlinkSync(join(at("base"), "inside"), link);
  // What becomes a root counts as used in that millisecond.
  await becomesPast();
  const { removed } = await store.collect({ olderThan: 0 });
  assert.deepEqual(pathsOf(removed).toSorted(), ["alone", "middle", "top"]);
  assert.equal(store.roots()[0]?.target, pathOf(objects, "base"));
  rmSync(link);
  await becomesPast();
  assert.equal((await store.collect({ olderThan: 0 })).count, 1);
  assert.deepEqual(store.roots(), []);
});

test("only links to objects, and their owners', become roots; names have few signs", async () => {
  await using context = await testStore();
  const { store } = context;
  const objects = await chain(context);
  const target = pathOf(objects, "base");
  const link = join(context.folder, "link");
  symlinkSync("/nowhere", link);
  mkdirSync(join(context.folder, "folder"));
  for (const name of [
    link,
    join(context.folder, "folder"),
    join(context.folder, "none"),
    "a",
    "",
  ]) {
    await assert.rejects(store.addRoot({ name }), { code: "root.link" }, name);
  }
  rmSync(link);
  symlinkSync(store.realPath(target), link);
  const stranger = { name: link, owner: (process.getuid?.() ?? 0) + 1 };
  await assert.rejects(store.addRoot(stranger), { code: "root.denied" });
  for (const name of ["", "/a", "a b", "-a", "a\n", "x".repeat(201)]) {
    await assert.rejects(store.addRoot({ name, target }), { code: "root.name" }, name);
  }
  const absent = sample(context.directory, "absent", "absent").storePath;
  await assert.rejects(store.addRoot({ name: "a", target: absent }), { code: "store.missing" });
});

test("a dry run tells what would go and changes nothing", async () => {
  await using context = await testStore();
  const { store } = context;
  await chain(context);
  const { removed, count } = await store.collect({ olderThan: 0, dryRun: true });
  assert.equal(count, 4);
  assert.equal(removed.length, 4);
  assert.equal(namesIn(context.real).length, 4);
});

test("a size is reached by removing the least recently used first", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const samples = ["a", "b", "c", "d"].map((name) => sample(directory, name, "x".repeat(5000)));
  await importInto(store, streamOf(...samples));
  const use = store.database.prepare("update objects set registered_at = ? where path like ?");
  for (const [i, name] of ["c", "a", "d", "b"].entries()) use.run(i + 1, `%-${name}`);
  const size = samples[0]?.narSize ?? 0;
  const { removed, left } = await store.collect({ maxSize: 2 * size + 1 });
  assert.deepEqual(pathsOf(removed), ["c", "a"]);
  assert.deepEqual(left, { count: 2, bytes: 2 * size });
  assert.equal((await store.collect({ maxSize: 2 * size })).count, 0);
  assert.equal((await store.collect({ keepFree: 1 })).count, 0);
  assert.deepEqual(pathsOf((await store.collect({ keepFree: 2 ** 60 })).removed), ["d", "b"]);
});

test("named objects go alone, with what refers to them, unless something needs them", async () => {
  await using context = await testStore();
  const { store } = context;
  const objects = await chain(context);
  const only = [pathOf(objects, "middle")];
  await store.addRoot({ name: "keep", target: pathOf(objects, "top") });
  await assert.rejects(store.collect({ only }), { code: "gc.alive", message: /the root keep/ });
  await store.removeRoot("keep");
  await becomesPast();
  {
    using _build = store.protect([pathOf(objects, "middle")]);
    await assert.rejects(store.collect({ only }), { code: "gc.alive", message: /in use/ });
  }
  await becomesPast();
  assert.deepEqual(pathsOf((await store.collect({ only })).removed), ["top", "middle"]);
  assert.equal(namesIn(context.real).length, 2);
  const absent = sample(context.directory, "absent", "absent").storePath;
  await assert.rejects(store.collect({ only: [absent] }), { code: "store.missing" });
});

test("what a connected client has sent stays until it leaves, but can be deleted by name", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "sent", "sent");
  {
    await using importer = store.importer();
    await importer.read(new ByteReader(chunksOf(streamOf(object))));
    await becomesPast();
    assert.equal((await store.collect({ olderThan: 0 })).count, 0);
    assert.deepEqual(await store.remove([object.storePath]), [object.storePath]);
    await importer.read(new ByteReader(chunksOf(streamOf(object))));
  }
  await becomesPast();
  assert.equal((await store.collect({ olderThan: 0 })).count, 1);
});

test("what is used during a session stays until the session ends", async () => {
  await using context = await testStore();
  const { store } = context;
  const objects = await chain(context);
  {
    using _build = store.session();
    store.info(pathOf(objects, "top"));
    await becomesPast();
    assert.deepEqual(pathsOf((await store.collect({ olderThan: 0 })).removed), ["alone"]);
  }
  assert.equal((await store.collect({ olderThan: 0 })).count, 3);
});

test("a collection can be ended, and tells how far it is", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const samples = Array.from({ length: 250 }, (_, i) => sample(directory, `o${i}`, `${i}`));
  await importInto(store, streamOf(...samples));
  await becomesPast();
  const stop = new AbortController();
  const seen: number[] = [];
  const run = store.collect({
    olderThan: 0,
    signal: stop.signal,
    onProgress: ({ done, total }) => {
      assert.equal(total, 250);
      seen.push(done);
      if (done >= 200) stop.abort();
    },
  });
  await assert.rejects(run, { name: "AbortError" });
  assert.deepEqual(seen, [100, 200]);
  assert.equal([...store.list()].length, 50);
  assert.equal(existsSync(store.realPath([...store.list()][0] ?? samples[0]!.storePath)), true);
});
