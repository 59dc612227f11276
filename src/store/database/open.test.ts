import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
import { applicationID, StoreDatabase } from "./open.ts";

let folder = "";
let file = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kiln-database-"));
  file = join(folder, "var", "kiln", "db.sqlite");
});
afterEach(() => rmSync(folder, { recursive: true }));

const directory = "/store";

test("a new database is marked as Kiln's, knows its store, and keeps both", () => {
  const first = StoreDatabase.open(file, { directory });
  assert.equal(first.created, true);
  assert.equal(first.prepare("pragma application_id").get()?.["application_id"], applicationID);
  assert.equal(first.prepare("pragma journal_mode").get()?.["journal_mode"], "wal");
  assert.equal(first.prepare("pragma foreign_keys").get()?.["foreign_keys"], 1);
  assert.equal(first.prepare("pragma auto_vacuum").get()?.["auto_vacuum"], 2);
  const { storeID } = first;
  first.close();
  first.close();
  using again = StoreDatabase.open(file, { directory, storeID });
  assert.equal(again.created, false);
  assert.equal(again.storeID, storeID);
});

test("nobody else can lock a database, whatever the umask, nor one that others could read before", () => {
  const files = [file, `${file}-wal`, `${file}-shm`];
  const modes = (): number[] => files.map((each) => statSync(each).mode & 0o777);
  const before = process.umask(0);
  try {
    using database = StoreDatabase.open(file, { directory });
    assert.deepEqual(modes(), [0o600, 0o600, 0o600]);
    for (const each of files) chmodSync(each, 0o664);
    using again = StoreDatabase.open(file, { directory });
    assert.deepEqual(modes(), [0o600, 0o600, 0o600]);
    assert.equal(again.storeID, database.storeID);
  } finally {
    process.umask(before);
  }
});

test("a database of another store directory is refused", () => {
  StoreDatabase.open(file, { directory }).close();
  assert.throws(
    () => StoreDatabase.open(file, { directory: "/other" }),
    (error) =>
      hasCode(error, "database.directory") &&
      /belongs to.*\/store, not to \/other/.test(error.message),
  );
});

test("zb's database is refused, untouched, with the command that takes it over", () => {
  file = join(folder, "zb.sqlite");
  const zb = new DatabaseSync(file);
  zb.exec(
    "create table paths (id); create table objects (id); create table drv_hashes (id); pragma user_version = 3",
  );
  zb.close();
  const before = readFileSync(file);
  assert.throws(
    () => StoreDatabase.open(file, { directory }),
    (error) =>
      hasCode(error, "database.foreign") &&
      error.hint ===
        `to take the store over, run: kiln store adopt --store ${directory} --zb-db ${file}`,
  );
  assert.deepEqual(readFileSync(file), before);
});

test("another program's database is refused", () => {
  file = join(folder, "other.sqlite");
  const other = new DatabaseSync(file);
  other.exec("create table notes (text)");
  other.close();
  assert.throws(() => StoreDatabase.open(file, { directory }), { code: "database.foreign" });
});

test("a database that a later Kiln changed is refused", () => {
  const database = StoreDatabase.open(file, { directory });
  database.sql.exec("pragma user_version = 999");
  database.close();
  assert.throws(() => StoreDatabase.open(file, { directory }), { code: "database.newer" });
});

test("a file that is no database, or a cut one, is called damaged", () => {
  StoreDatabase.open(file, { directory }).close();
  const size = readFileSync(file).length;
  truncateSync(file, size - 4096);
  assert.throws(() => StoreDatabase.open(file, { directory }), {
    code: "database.corrupt",
    kind: "internal",
  });
  writeFileSync(
    file,
    "not a database at all, but long enough to hold the header of one".repeat(40),
  );
  assert.throws(() => StoreDatabase.open(file, { directory }), { code: "database.corrupt" });
});

test("a store that has a database is not opened with none, an empty one or another one", () => {
  const other = join(folder, "other.sqlite");
  const { storeID } = StoreDatabase.open(file, { directory });
  StoreDatabase.open(other, { directory }).close();
  assert.throws(() => StoreDatabase.open(other, { directory, storeID }), { code: "database.lost" });
  const empty = join(folder, "empty.sqlite");
  writeFileSync(empty, "");
  assert.throws(() => StoreDatabase.open(empty, { directory, storeID }), { code: "database.lost" });
  const absent = join(folder, "absent", "db.sqlite");
  assert.throws(() => StoreDatabase.open(absent, { directory, storeID }), {
    code: "database.lost",
  });
  assert.throws(() => readFileSync(absent), { code: "ENOENT" });
});

test("migrations are applied in order, each whole or not at all, and only once", () => {
  const schema = join(folder, "schema");
  const first = readFileSync(new URL("./schema/01-objects.sql", import.meta.url), "utf8");
  mkdirSync(schema);
  writeFileSync(join(schema, "01-objects.sql"), first);
  StoreDatabase.open(file, { directory, schema }).close();
  writeFileSync(
    join(schema, "10-later.sql"),
    "create table b (n); insert into b select count(*) from a",
  );
  writeFileSync(join(schema, "02-next.sql"), "create table a (id); create table broken (");
  assert.throws(() => StoreDatabase.open(file, { directory, schema }), KilnError);
  writeFileSync(join(schema, "02-next.sql"), "create table a (id)");
  StoreDatabase.open(file, { directory, schema }).close();
  using database = StoreDatabase.open(file, { directory, schema });
  assert.equal(database.prepare("select count(*) as n from b").get()?.["n"], 1);
  assert.equal(database.prepare("pragma user_version").get()?.["user_version"], 10);
});

test("a transaction that throws leaves nothing, also inside another one", () => {
  using database = StoreDatabase.open(file, { directory });
  database.sql.exec("create table t (n integer primary key)");
  const insert = database.prepare("insert into t (n) values (?)");
  const count = (): unknown => database.prepare("select count(*) as n from t").get()?.["n"];
  assert.throws(
    () =>
      database.transaction(() => {
        insert.run(1);
        throw new Error("no");
      }),
    /no/,
  );
  assert.equal(count(), 0);
  database.transaction(() => {
    insert.run(1);
    assert.throws(() =>
      database.transaction(() => {
        insert.run(2);
        insert.run(1);
      }),
    );
    database.transaction(() => insert.run(3));
  });
  assert.equal(count(), 2);
});

test("a failing statement throws a KilnError of kind internal", () => {
  using database = StoreDatabase.open(file, { directory });
  assert.throws(() => database.prepare("selekt"), { code: "database.io", kind: "internal" });
  assert.throws(() => database.prepare("insert into objects (path) values (?)").run("x"), {
    code: "database.constraint",
    kind: "internal",
  });
});

test("a database that another connection has locked is refused as locked", () => {
  StoreDatabase.open(file, { directory }).close();
  const other = new DatabaseSync(file);
  other.exec("pragma locking_mode = exclusive; begin exclusive");
  assert.throws(() => StoreDatabase.open(file, { directory }), { code: "database.locked" });
  other.close();
});

test("a durable transaction can be read at once and is synced later; one that throws leaves nothing", async () => {
  using database = StoreDatabase.open(file, { directory });
  database.sql.exec("create table t (n integer primary key)");
  const count = (): unknown => database.prepare("select count(*) as n from t").get()?.["n"];
  const insert = database.prepare("insert into t (n) values (?)");
  const commits = [1, 2, 3].map((n) => database.durably(() => insert.run(n)));
  assert.equal(count(), 3);
  await Promise.all(commits);
  await assert.rejects(
    database.durably(() => insert.run(3)),
    { code: "database.constraint" },
  );
  assert.equal(count(), 3);
});

/** Writes rows of 1,000 bytes in one transaction. */
function filling(database: StoreDatabase): (rows: number) => Promise<void> {
  database.sql.exec("create table t (n integer primary key, text text)");
  const insert = database.prepare("insert into t (text) values (?)");
  return (rows) =>
    database.durably(() => {
      for (let i = 0; i < rows; i++) insert.run("x".repeat(1000));
    });
}

test("the write-ahead log is moved into the database in the background, and does not grow for ever", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] }); // there is no pause
  using database = StoreDatabase.open(file, { directory });
  const fill = filling(database);
  for (let round = 0; round < 30; round++) {
    await fill(1000);
    await database.settled();
  }
  const size = statSync(`${file}-wal`).size;
  assert.ok(size < 20 * 1024 * 1024, `${size} bytes`);
  assert.ok(statSync(file).size > 20 * 1024 * 1024);
});

test("the write-ahead log does not grow for ever where somebody writes all the time", async () => {
  using database = StoreDatabase.open(file, { directory });
  const fill = filling(database);
  for (let round = 0; round < 200; round++) await fill(1000);
  await database.settled();
  const size = statSync(`${file}-wal`).size;
  assert.ok(size < 150 * 1024 * 1024, `${size} bytes`);
});

test("the write-ahead log is moved into the database in the first pause when it has grown", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  context.mock.method(performance, "now", () => now);
  const pass = async (milliseconds: number): Promise<void> => {
    now += milliseconds;
    context.mock.timers.tick(milliseconds);
    await database.settled();
  };
  using database = StoreDatabase.open(file, { directory });
  const fill = filling(database);
  for (let round = 0; round < 5; round++) {
    await fill(1000);
    await pass(150);
  }
  const before = statSync(file).size;
  assert.ok(before < 1024 * 1024, `${before} bytes`);
  await pass(100);
  const after = statSync(file).size;
  assert.ok(after > 5_000_000, `${after} bytes`);
});

test("a database that is open for hours is optimised, and gives free pages back", (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  using database = StoreDatabase.open(file, { directory });
  const count = (query: string): number => Number(database.sql.prepare(query).get()?.["n"]);
  const tables = "select count(*) as n from sqlite_schema where name = 'sqlite_stat1'";
  database.sql.exec("create table filled (n integer primary key, text text)");
  database.sql.exec("create index by_text on filled (text)");
  const insert = database.prepare("insert into filled (text) values (?)");
  for (let i = 0; i < 1000; i++) insert.run(`${i}${"x".repeat(1000)}`);
  database.sql.exec("delete from filled where n > 500");
  assert.equal(count("select count(*) as n from filled where text = '7'"), 0);
  assert.ok(count("select freelist_count as n from pragma_freelist_count") > 50);
  assert.equal(count(tables), 0);
  context.mock.timers.tick(3_600_000);
  assert.equal(count("select freelist_count as n from pragma_freelist_count"), 0);
  assert.equal(count(tables), 1);
});
