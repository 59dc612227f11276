import assert from "node:assert/strict";
import { test } from "node:test";
import type { ObjectInfo } from "../../format/object-info.ts";
import type { StorePath } from "../../format/store-path.ts";
import { importInto, sample, streamOf, testStore } from "../store.test.support.ts";
import { ObjectTable } from "./objects.ts";

test("a graph has sizes and references, downwards and upwards; a page has sizes", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const bottom = sample(directory, "bottom", "bottom");
  const left = sample(directory, "left", "left", [bottom.storePath]);
  const right = sample(directory, "right", "right", [bottom.storePath]);
  const top = sample(directory, "top", "top", [left.storePath, right.storePath]);
  const other = sample(directory, "other", "other");
  await importInto(store, streamOf(bottom, left, right, top, other));
  const node = ({ storePath, narSize }: typeof top, references: readonly StorePath[]): object => ({
    path: storePath,
    narSize,
    references,
  });
  const byPath = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  assert.deepEqual(
    await store.graph([top.storePath]),
    [
      node(bottom, []),
      node(left, [bottom.storePath]),
      node(right, [bottom.storePath]),
      node(top, top.references),
    ].toSorted(byPath),
  );
  assert.deepEqual(
    await store.graph([left.storePath], { referrers: true }),
    [node(left, []), node(top, [left.storePath])].toSorted(byPath),
  );
  const all = [...store.list()];
  const first = store.page(undefined, 3);
  assert.deepEqual(
    [...first, ...store.page(first.at(-1)?.path, 3)].map(({ path }) => path),
    all,
  );
  assert.equal(first[0]?.narSize, store.info(all[0]!)?.narSize);
  const absent = sample(directory, "absent", "absent").storePath;
  await assert.rejects(store.graph([absent]), { code: "store.missing", path: absent });
});

test("asking for the graph of many objects takes time as they are many, not as the square of that", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const chain: ObjectInfo[] = [];
  for (let i = 0; i < 6000; i++) {
    const below = chain.at(-1)?.storePath;
    const { nar: _, ...info } = sample(directory, `o${i}`, "", below === undefined ? [] : [below]);
    chain.push(info);
  }
  store.database.transaction(() => new ObjectTable(store.database).insert(chain, Date.now()));
  const [bottom, top] = [chain[0]!.storePath, chain.at(-1)!.storePath];
  let turns = 0;
  using turning = setInterval(() => turns++, 1);
  const began = performance.now();
  assert.equal((await store.graph([top])).length, chain.length);
  assert.equal((await store.graph([bottom], { referrers: true })).length, chain.length);
  assert.ok(performance.now() - began < 5000, "a client would hold up all others");
  turning[Symbol.dispose]();
  assert.ok(turns > 3, `others came in ${turns} times`);
});
