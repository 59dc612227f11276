// The power is cut at every moment of imports, registrations and deletions: on a disk that forgets whatever was not synced, or any part of it.
// KILN_SEED=N repeats a run; KILN_CUTS=all cuts each way at every moment.
import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { removeTree } from "../../src/files/remove-tree.ts";
import { defaultStoreDirectory, type StorePath } from "../../src/format/store-path.ts";
import { Store } from "../../src/store/store.ts";
import { importInto, streamOf } from "../../src/store/store.test.support.ts";
import { temporaryDirectory } from "../../src/util/temp.ts";
import { randomFrom } from "../support/random.ts";
import { audit } from "./audit.ts";
import { type Acknowledgement, everything } from "./power/child.ts";
import { Disk, type Cut } from "./power/disk.ts";
import { type Moment, needsStrace, record } from "./power/recording.ts";
import { Replay } from "./power/replay.ts";

const seed = Number(process.env["KILN_SEED"] ?? Date.now() % 2 ** 31);
const random = randomFrom(seed);
const isThorough = process.env["KILN_CUTS"] === "all";

/** Ways of losing what was not synced. */
const cuts: Readonly<Record<string, () => Cut>> = {
  everything: () => ({ names: () => false, writes: () => false }),
  "bytes, but no names": () => ({ names: () => true, writes: () => false }),
  "names, but no bytes": () => ({ names: () => false, writes: () => true }),
  "names from some moment on, and some blocks": () => {
    const until = random() * 200;
    let count = 0;
    return { names: () => count++ < until, writes: () => random() < 0.5 };
  },
  "any names and any blocks": () => ({
    names: () => random() < 0.5,
    writes: () => random() < 0.5,
  }),
};

/** What was acknowledged, as far as it was not to be removed after that. */
function promises(said: readonly string[]): { there: Set<StorePath>; gone: Set<StorePath> } {
  const there = new Set<StorePath>();
  const gone = new Set<StorePath>();
  for (const line of said.join("").split("\n").filter(Boolean)) {
    const { added = [], removing = [], removed = [] } = JSON.parse(line) as Acknowledgement;
    for (const path of added) {
      there.add(path);
      gone.delete(path);
    }
    for (const path of removing) there.delete(path);
    for (const path of removed) gone.add(path);
  }
  return { there, gone };
}

/** On the copy of the disk everything has another inode than on the disk itself. */
function renumber(files: { readonly store: string; readonly database: string }): void {
  if (!existsSync(files.database)) return;
  using sql = new DatabaseSync(files.database);
  if (sql.prepare("select 1 from sqlite_master where name = 'intents'").get() === undefined) return;
  for (const { path } of sql.prepare("select path from intents where inode is not null").all()) {
    const place = join(files.store, basename(String(path)));
    const stats = lstatSync(place, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) continue;
    sql
      .prepare("update intents set inode = ? where path = ?")
      .run(stats.ino.toString(), path ?? null);
  }
}

async function check(disk: Disk, cut: Cut, said: readonly string[]): Promise<void> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-power-");
  await disk.leave(folder.path, cut);
  const files = { store: join(folder.path, "store"), database: join(folder.path, "var/db.sqlite") };
  const options = {
    directory: defaultStoreDirectory,
    realDirectory: files.store,
    database: files.database,
    durability: "process",
  } as const;
  renumber(files);
  const { there, gone } = promises(said);
  {
    await using store = await Store.open(options);
    for (const path of there) assert.ok(store.has(path), `${path} is lost`);
    for (const path of gone) {
      // It may be on its way in again.
      if (!everything.some(({ storePath }) => storePath === path)) assert.ok(!store.has(path));
    }
  }
  assert.deepEqual(audit(files).faults, []);
  // Interrupted work can simply be sent again.
  await using store = await Store.open(options);
  const reports = await importInto(store, streamOf(...everything));
  assert.deepEqual(
    reports.filter(({ status }) => status === "rejected"),
    [],
  );
}

test(
  "after a power cut the store opens, and every acknowledged object is whole",
  { skip: needsStrace, timeout: 280_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "kiln-recorded-"));
    t.after(() => removeTree(folder));
    const child = new URL("./power/child.ts", import.meta.url).pathname;
    const moments = record(process.execPath, [
      "--disable-warning=ExperimentalWarning",
      child,
      folder,
    ]);
    const syncs = moments.filter((moment) => Replay.isSync(moment)).length;
    assert.ok(syncs > 30, `${syncs} syncs were recorded`);
    let cutCount = 0;
    for (const [what, make] of Object.entries(cuts)) {
      const disk = new Disk();
      const replay = new Replay(disk, { folder, store: "store" });
      const every = what === "everything" || isThorough ? 1 : 6;
      let passed = Math.floor(random() * every);
      const cutNow = async (moment: Moment | undefined): Promise<void> => {
        // Before a sync ends most is in danger, and all that was said before it has to hold.
        const isTime = moment === undefined || Replay.isSync(moment);
        if (!isTime || passed++ % every !== 0) return;
        try {
          await check(disk, make(), replay.said);
        } catch (error) {
          throw new Error(`losing ${what}, at sync ${passed} (KILN_SEED=${seed})`, {
            cause: error,
          });
        }
        cutCount++;
      };
      for (const moment of moments) {
        await cutNow(moment);
        replay.step(moment);
      }
      await cutNow(undefined);
      assert.ok(replay.said.length >= 9, "all was acknowledged at the end");
    }
    t.diagnostic(`seed ${seed}: ${moments.length} calls, ${syncs} syncs, ${cutCount} cuts`);
  },
);
