import assert from "node:assert/strict";
import { appendFileSync, chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hashBytes, sha256 } from "../format/hash.ts";
import { storePathOf } from "../format/path-digest.ts";
import { SelfReferenceAnalyzer } from "../format/references/self-references.ts";
import { digestOf, objectNameOf, parseStorePath } from "../format/store-path.ts";
import { rebuildDatabase } from "./rebuild.ts";
import { Store } from "./store.ts";
import {
  addressed,
  flatSample,
  importInto,
  narOf,
  sample,
  streamOf,
  testStore,
  textSample,
  type Sample,
  type TestStore,
} from "./store.test.support.ts";

/** An object of every kind of address. */
function samples({ directory }: TestStore): Sample[] {
  const base = sample(directory, "base", {
    entries: { run: { executable: "#!/bin/sh" }, l: { target: "run" } },
  });
  const top = sample(directory, "top", { entries: { ref: `needs ${base.storePath}/run` } }, [
    base.storePath,
  ]);
  const drv = textSample(directory, "a.drv", `Derive(${top.storePath})`, [top.storePath]);
  const fixed = flatSample(directory, "fixed", `mentions ${base.storePath}`);
  const old = flatSample(directory, "old", "old", "sha1");
  const nar = narOf({ entries: { x: "y" } });
  const tree = addressed(directory, "tree", nar, {
    method: "recursive",
    hash: hashBytes("sha512", nar),
  });
  return [base, top, drv, fixed, old, tree, selfReferring({ directory })];
}

function selfReferring({ directory }: Pick<TestStore, "directory">): Sample {
  const tree = (digest: string): Buffer =>
    narOf({ entries: { a: `see ${digest}`, b: { target: `${directory}/${digest}-self` } } });
  const draft = parseStorePath(`${directory}/${"0".repeat(32)}-self`);
  const analyzer = new SelfReferenceAnalyzer(digestOf(draft));
  analyzer.write(tree(digestOf(draft)));
  const { ca } = analyzer.finish();
  const storePath = storePathOf(directory, "self", ca, { self: true, others: [] });
  const nar = tree(digestOf(storePath));
  return { storePath, nar, ca, references: [storePath], narHash: sha256(nar), narSize: nar.length };
}

async function lose(context: TestStore): Promise<void> {
  await context.store.close();
  for (const end of ["", "-wal", "-shm"]) rmSync(context.options.database + end, { force: true });
}

test("a lost database is made again of the objects, whatever their addresses", async () => {
  await using context = await testStore();
  const all = samples(context);
  const reports = await importInto(context.store, streamOf(...all));
  assert.deepEqual(
    reports.filter(({ status }) => status !== "imported"),
    [],
  );
  await lose(context);
  await assert.rejects(Store.open(context.options), { code: "database.lost" });
  writeFileSync(join(context.real, "README"), "mine");
  const seen: number[] = [];
  const rebuilt = await rebuildDatabase({
    ...context.options,
    onProgress: ({ done }) => seen.push(done),
  });
  assert.equal(rebuilt.objects, all.length);
  assert.deepEqual(
    rebuilt.leftOut.map(({ name }) => name),
    ["README"],
  );
  assert.equal(rebuilt.old, undefined);
  assert.equal(seen.at(-1), all.length);
  context.store = await Store.open(context.options);
  for (const { storePath, narHash, narSize, references, ca } of all) {
    const info = context.store.info(storePath);
    assert.deepEqual(info, { storePath, narHash, narSize, references, ca }, storePath);
  }
  assert.deepEqual((await context.store.verify({ contents: true })).damaged, []);
  assert.ok(existsSync(join(context.real, "README")));
});

test("what is altered is left out with what refers to it; nothing is removed", async () => {
  await using context = await testStore();
  const all = samples(context);
  await importInto(context.store, streamOf(...all));
  const [base, top, drv] = all;
  const file = join(context.store.realPath(base!.storePath), "run");
  await lose(context);
  chmodSync(file, 0o755);
  appendFileSync(file, " ");
  const rebuilt = await rebuildDatabase(context.options);
  assert.deepEqual(
    rebuilt.leftOut.map(({ name }) => name).toSorted(),
    [base!, top!, drv!].map(({ storePath }) => objectNameOf(storePath)).toSorted(),
  );
  context.store = await Store.open(context.options);
  assert.equal(context.store.has(top!.storePath), false);
  assert.ok(existsSync(file));
  const repaired = await importInto(context.store, streamOf(base!, top!, drv!));
  assert.deepEqual(
    repaired.map(({ status }) => status),
    ["imported", "imported", "imported"],
  );
});

test("a damaged database is kept beside the new one; a sound one is not replaced, nor another program's", async () => {
  await using context = await testStore();
  const all = samples(context);
  await importInto(context.store, streamOf(...all));
  await assert.rejects(rebuildDatabase(context.options), { code: "store.locked" });
  await context.store.close();
  await assert.rejects(rebuildDatabase(context.options), { code: "database.sound" });
  writeFileSync(context.options.database, "damaged");
  await assert.rejects(Store.open(context.options), {
    code: "database.corrupt",
    hint: /rebuild-db/,
  });
  const { old, objects } = await rebuildDatabase(context.options);
  assert.equal(objects, all.length);
  assert.ok(old !== undefined && existsSync(old));
  const forced = await rebuildDatabase({ ...context.options, force: true });
  assert.equal(forced.objects, all.length);
  context.store = await Store.open(context.options);
});

test("there has to be a store", async () => {
  await using context = await testStore();
  const realDirectory = join(context.folder, "none");
  await assert.rejects(rebuildDatabase({ ...context.options, realDirectory }), {
    code: "store.absent",
  });
  mkdirSync(realDirectory);
  const database = join(context.folder, "new", "db");
  mkdirSync(join(context.folder, "new"));
  const { objects } = await rebuildDatabase({ ...context.options, realDirectory, database });
  assert.equal(objects, 0);
});
