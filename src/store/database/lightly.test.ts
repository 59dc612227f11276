import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lightly } from "./lightly.ts";
import { type Durability, StoreDatabase } from "./open.ts";

function open(durability: Durability): { database: StoreDatabase } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "kiln-lightly-"));
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

for (const [durability, synchronous] of [
  ["power", 2],
  ["process", 0],
] as const) {
  test(`light work leaves the durability at ${durability}, also when it throws`, () => {
    using store = open(durability);
    const { database } = store;
    const result = lightly(database, () => {
      write(database, "a");
      return 7;
    });
    assert.equal(result, 7);
    assert.throws(() => lightly(database, () => write(database, null)), {
      code: "database.constraint",
    });
    assert.deepEqual(notes(database), ["a"]);
    assert.equal(level(database), synchronous);
  });
}

test("light work within another transaction is a part of it", () => {
  using store = open("power");
  const { database } = store;
  assert.throws(() =>
    database.transaction(() => {
      lightly(database, () => write(database, "a"));
      throw new Error("no");
    }),
  );
  assert.deepEqual(notes(database), []);
  assert.equal(level(database), 2);
});
