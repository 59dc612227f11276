import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Durability, StoreDatabase } from "./open.ts";

function open(durability: Durability): { database: StoreDatabase } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "kiln-durability-"));
  const database = StoreDatabase.open(join(folder, "db.sqlite"), {
    directory: "/store",
    durability,
  });
  database.sql.exec("create table notes (text text not null) strict");
  return {
    database,
    [Symbol.dispose](): void {
      database.close();
      rmSync(folder, { recursive: true });
    },
  };
}

const write = (database: StoreDatabase, text: string | null): void => {
  database.prepare("insert into notes (text) values (?)").run(text);
};
const notes = ({ sql }: StoreDatabase): unknown[] =>
  sql
    .prepare("select text from notes")
    .all()
    .map((row) => row["text"]);
const level = ({ sql }: StoreDatabase): unknown =>
  sql.prepare("pragma synchronous").get()?.["synchronous"];

/** Levels of `pragma synchronous`: full syncs at each commit, normal leaves that to others. */
const [off, normal, full] = [0, 1, 2];

for (const [durability, inTransaction, inLight] of [
  ["power", full, normal],
  ["process", off, off],
] as const) {
  test(`a transaction is synced as durability ${durability} wants it, and light work is not`, () => {
    using store = open(durability);
    const { database } = store;
    const found = (): unknown => level(database);
    assert.equal(database.transaction(found), inTransaction);
    assert.equal(database.lightly(found), inLight);
    assert.throws(() => database.transaction(() => write(database, null)), {
      code: "database.constraint",
    });
    assert.equal(database.lightly(found), inLight);
    assert.equal(database.transaction(found), inTransaction);
  });
}

test("light work is there at once, or not at all", () => {
  using store = open("power");
  const { database } = store;
  const result = database.lightly(() => {
    write(database, "a");
    return 7;
  });
  assert.equal(result, 7);
  assert.throws(
    () =>
      database.lightly(() => {
        write(database, "b");
        write(database, null);
      }),
    { code: "database.constraint" },
  );
  assert.deepEqual(notes(database), ["a"]);
});

test("light work within another transaction is a part of it", () => {
  using store = open("power");
  const { database } = store;
  assert.throws(() =>
    database.transaction(() => {
      database.lightly(() => write(database, "a"));
      throw new Error("no");
    }),
  );
  assert.deepEqual(notes(database), []);
});
