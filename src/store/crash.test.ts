// The process is killed at each of its steps that leave a trace, and the store is looked at afterwards.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { hashTree } from "../files/dump.ts";
import { defaultStoreDirectory, type StorePath } from "../format/store-path.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { importInto, namesIn, streamOf } from "./store.test.support.ts";
import { objects, type Acknowledged } from "./crash.test.child.ts";
import { Store, type StoreOptions } from "./store.ts";

const child = new URL("./crash.test.child.ts", import.meta.url).pathname;

/** Runs the child, which dies at its `step`-th step, and gives what it acknowledged; undefined when it did not get that far. */
function runUntil(step: number, folder: string): { acknowledged: Acknowledged[]; died: boolean } {
  const { stdout, stderr, signal, status } = spawnSync(
    process.execPath,
    [child, folder, String(step)],
    { encoding: "utf8" },
  );
  assert.ok(signal === "SIGKILL" || status === 0, stderr);
  const lines = stdout.split("\n").slice(0, -1);
  return {
    acknowledged: lines.map((line) => JSON.parse(line) as Acknowledged),
    died: signal === "SIGKILL",
  };
}

/** Every row has its object, byte for byte, and every name in the directory is an object's or a foreigner's. */
async function audit(store: Store, foreign: readonly string[]): Promise<void> {
  const paths = [...store.list()];
  for (const path of paths) {
    const info = store.info(path)!;
    const { narHash, narSize } = await hashTree(store.realPath(path));
    assert.equal(narHash.base32(), info.narHash.base32(), path);
    assert.equal(narSize, info.narSize, path);
    for (const reference of info.references) assert.equal(store.has(reference), true);
  }
  const names = [...paths.map((path) => basename(path)), ...foreign].toSorted();
  assert.deepEqual(namesIn(store.realDirectory), names);
  assert.equal(store.database.prepare("select count(*) as n from intents").get()?.["n"], 0);
}

async function checkStep(step: number): Promise<boolean> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-crash-");
  const options: StoreOptions = {
    directory: defaultStoreDirectory,
    realDirectory: join(folder.path, "store"),
    database: join(folder.path, "db.sqlite"),
  };
  await (await Store.open(options)).close();
  const foreign = [basename(objects.foreign.storePath), "README"];
  for (const name of foreign) writeFileSync(join(folder.path, "store", name), "foreign");
  const { acknowledged, died } = runUntil(step, folder.path);
  await using store = await Store.open(options);
  assert.deepEqual(readdirSync(store.temporaryDirectory), []);
  await audit(store, foreign);
  const there = new Set<StorePath>();
  let removed: readonly StorePath[] = [];
  for (const line of acknowledged) {
    for (const path of line.added ?? []) there.add(path);
    // From here on, until it is said again, it may be there or not.
    for (const path of line.removing ?? []) there.delete(path);
    removed = line.removed ?? removed;
  }
  for (const path of there) assert.ok(store.has(path), `step ${step}: ${path} is lost`);
  if (removed.length > 0) assert.equal(store.has(objects.output.storePath), false);
  // Interrupted work can simply be sent again.
  const reports = await importInto(store, streamOf(...objects.stream));
  assert.deepEqual(
    reports.filter(({ status }) => status === "rejected"),
    [],
  );
  await audit(store, foreign);
  return died;
}

// Which steps are looked at changes from day to day, so that all of them are, sooner or later; KILN_CRASH_STEPS=all takes every one.
const stride = process.env["KILN_CRASH_STEPS"] === "all" ? 1 : 29;
const offset = stride === 1 ? 1 : 1 + (Math.floor(Date.now() / 86_400_000) % stride);

test(`after kill -9 at step ${offset}, ${offset + stride}, … the store is whole`, async () => {
  let steps = 0;
  for (let step = offset; await checkStep(step); step += stride) steps++;
  assert.ok(steps * stride > 100, `only ${steps} steps`);
});
