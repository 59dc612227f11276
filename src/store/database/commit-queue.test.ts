import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CommitQueue } from "./commit-queue.ts";
import { StoreDatabase } from "./open.ts";

function open(): {
  database: StoreDatabase;
  queue: CommitQueue;
  rows: () => unknown[];
} & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "kiln-commits-"));
  const database = StoreDatabase.open(join(folder, "db.sqlite"), { directory: "/store" });
  database.sql.exec("create table notes (text text not null) strict");
  return {
    database,
    queue: new CommitQueue(database),
    rows: () =>
      database.sql
        .prepare("select text from notes")
        .all()
        .map((row) => row["text"]),
    [Symbol.dispose](): void {
      database.close();
      rmSync(folder, { recursive: true });
    },
  };
}

const write = (database: StoreDatabase, text: string | null): void => {
  database.prepare("insert into notes (text) values (?)").run(text);
};

test("work of one moment is committed together and in order", async () => {
  using store = open();
  await Promise.all(
    ["a", "b", "c"].map((text) => store.queue.durably(() => write(store.database, text))),
  );
  assert.deepEqual(store.rows(), ["a", "b", "c"]);
});

test("work that throws loses its own changes only", async () => {
  using store = open();
  const bad = store.queue.durably(() => {
    write(store.database, "lost");
    write(store.database, null);
  });
  const good = store.queue.durably(() => write(store.database, "kept"));
  await assert.rejects(bad, { code: "database.constraint" });
  await good;
  assert.deepEqual(store.rows(), ["kept"]);
});

test("light work comes after what waits, and leaves full durability on", async () => {
  using store = open();
  const first = store.queue.durably(() => write(store.database, "first"));
  assert.equal(
    store.queue.lightly(() => {
      write(store.database, "second");
      return 7;
    }),
    7,
  );
  await first;
  assert.deepEqual(store.rows(), ["first", "second"]);
  assert.throws(() => store.queue.lightly(() => write(store.database, null)), {
    code: "database.constraint",
  });
  assert.equal(store.database.sql.prepare("pragma synchronous").get()?.["synchronous"], 2);
});
