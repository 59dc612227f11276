import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { closureOf, referrersFirst } from "./database/closure.ts";
import { ObjectTable } from "./database/objects.ts";
import type { Store } from "./store.ts";
import {
  importInto,
  namesIn,
  sample,
  streamOf,
  testStore,
  type Sample,
} from "./store.test.support.ts";
import type { TestStore } from "./store.test.support.ts";

/** The paths with an intent. */
function intentsOf({ store }: TestStore): unknown[] {
  return store.database
    .prepare("select path from intents order by path")
    .all()
    .map(({ path }) => path);
}

/** base <- middle <- top, and `alone`. */
async function chain({
  store,
  directory,
}: TestStore): Promise<Record<"base" | "middle" | "top" | "alone", Sample>> {
  const base = sample(directory, "base", { entries: { a: { entries: { b: "base" } } } });
  const middle = sample(directory, "middle", { entries: {} }, [base.storePath]);
  const top = sample(directory, "top", "top", [middle.storePath]);
  const alone = sample(directory, "alone", "alone");
  await importInto(store, streamOf(base, middle, top, alone));
  return { base, middle, top, alone };
}

/** Begins something that waits for the object that `late` refers to; meanwhile `late` is registered. */
async function whileLateComes<T>(store: Store, late: Sample, begin: () => Promise<T>): Promise<T> {
  const lock = await store.lock(late.references[0]!);
  const begun = begin();
  await new Promise((done) => setTimeout(done, 20));
  store.database.transaction(() => new ObjectTable(store.database).insert([late], 1));
  lock[Symbol.dispose]();
  return await begun;
}

test("what others refer to is not removed", async () => {
  await using context = await testStore();
  const { store } = context;
  const { base, middle, top } = await chain(context);
  const refused = { code: "store.hasReferrers" };
  await assert.rejects(store.remove([base.storePath]), refused);
  await assert.rejects(store.remove([base.storePath, middle.storePath]), refused);
  await assert.rejects(store.remove([base.storePath, top.storePath]), refused);
  assert.equal(namesIn(context.real).length, 4);
  const all = [base.storePath, top.storePath, middle.storePath, top.storePath];
  assert.deepEqual(await store.remove(all), [top.storePath, middle.storePath, base.storePath]);
  assert.equal(namesIn(context.real).length, 1);
});

test("recursively, everything that refers to it goes with it, and nothing it refers to", async () => {
  await using context = await testStore();
  const { store } = context;
  const { base, middle, top } = await chain(context);
  const removed = await store.remove([middle.storePath], { recursive: true });
  assert.deepEqual(removed, [top.storePath, middle.storePath]);
  assert.equal(await store.exists(top.storePath), false);
  assert.equal(await store.exists(base.storePath), true);
  assert.equal(store.info(middle.storePath), undefined);
});

test("nothing is removed when one of the paths is not in the store, and nothing at all is nothing", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const { alone } = await chain(context);
  const absent = sample(directory, "absent", "absent");
  await assert.rejects(store.remove([alone.storePath, absent.storePath]), {
    code: "store.missing",
  });
  assert.equal(await store.exists(alone.storePath), true);
  assert.deepEqual(await store.remove([]), []);
});

test("what is in use is not removed, nor what would go with it", async () => {
  await using context = await testStore();
  const { store } = context;
  const { base, middle, top } = await chain(context);
  {
    using _first = store.protect([top.storePath]);
    using _second = store.protect([top.storePath]);
    await assert.rejects(store.remove([base.storePath], { recursive: true }), {
      code: "store.inUse",
      path: top.storePath,
    });
    _first[Symbol.dispose]();
    await assert.rejects(store.remove([top.storePath]), { code: "store.inUse" });
  }
  assert.equal((await store.remove([base.storePath], { recursive: true })).length, 3);
  assert.equal(store.has(middle.storePath), false);
});

test("an object can be removed that refers to itself or whose files are gone, and be imported again", async () => {
  await using context = await testStore();
  const { store } = context;
  const { alone } = await chain(context);
  const id = store.database.prepare("select id from objects where path = ?").get(alone.storePath)?.[
    "id"
  ];
  store.database.prepare("insert into object_references values (?, ?)").run(id ?? null, id ?? null);
  assert.deepEqual(await store.remove([alone.storePath]), [alone.storePath]);
  await importInto(store, streamOf(alone));
  const { rmSync } = await import("node:fs");
  rmSync(store.realPath(alone.storePath));
  assert.deepEqual(await store.remove([alone.storePath]), [alone.storePath]);
  await importInto(store, streamOf(alone));
  assert.equal(await store.exists(alone.storePath), true);
});

test("what comes to refer to an object while its removal waits goes with it, or is told of", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const { alone } = await chain(context);
  const late = sample(directory, "late", "late", [alone.storePath]);
  const [, removed] = await whileLateComes(store, late, () =>
    Promise.all([
      assert.rejects(store.remove([alone.storePath]), { code: "store.hasReferrers" }),
      store.remove([alone.storePath], { recursive: true }),
    ]),
  );
  assert.deepEqual(removed, [late.storePath, alone.storePath]);
  assert.equal(store.has(late.storePath), false);
});

test("what was about to be removed and stays is still there after the next start", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const { alone } = await chain(context);
  const late = sample(directory, "late", "late", [alone.storePath]);
  await whileLateComes(store, late, () =>
    assert.rejects(store.remove([alone.storePath]), { code: "store.hasReferrers" }),
  );
  assert.deepEqual(intentsOf(context), [alone.storePath]);
  await context.reopen();
  assert.deepEqual(intentsOf(context), []);
  assert.equal(await context.store.exists(alone.storePath), true);
});

test("files of removed objects are gone when the store is closed", async () => {
  await using context = await testStore();
  const { base } = await chain(context);
  await context.store.remove([base.storePath], { recursive: true });
  await context.reopen();
  assert.deepEqual(readdirSync(join(context.real, ".kiln", "trash")), []);
  assert.equal(context.store.database.prepare("select count(*) as n from intents").get()?.["n"], 0);
});

test("closures and removals of 2,000 objects take milliseconds", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const objects: Sample[] = [];
  for (let i = 0; i < 2000; i++) {
    const references = [i - 1, i - 13].filter((n) => n >= 0).map((n) => objects[n]!.storePath);
    objects.push(sample(directory, `o${i}`, `${i}`, references));
  }
  // The rows alone will do.
  const { database } = store;
  database.transaction(() => new ObjectTable(database).insert(objects, 1));
  const last = objects.at(-1)!.storePath;
  store.closure([last]);
  const start = performance.now();
  assert.equal(closureOf(database, [last]).length, 2000);
  const closed = performance.now();
  assert.equal((await referrersFirst(database, [objects[0]!.storePath]))[0], last);
  const end = performance.now();
  assert.ok(closed - start < 1000, `${closed - start} ms`);
  assert.ok(end - closed < 1000, `${end - closed} ms`);
  assert.throws(() => store.closure([last, sample(directory, "absent", "").storePath]), {
    code: "store.missing",
  });
});
