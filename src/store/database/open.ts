/**
 * The store's database: SQLite in WAL mode, with numbered migrations.
 *
 * Whoever opens it must hold the store lock; then this connection is the only writer. Every failure leaves as a
 * {@link KilnError} of kind `internal`, so that a full disk or a damaged file costs one request and not the process.
 */
import { randomUUID } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import {
  type SQLInputValue,
  type SQLOutputValue,
  type StatementSync,
  DatabaseSync,
} from "node:sqlite";
import { fileURLToPath } from "node:url";
import { KilnError } from "../../util/kiln-error.ts";

/** Marks a database as Kiln's in SQLite's file header: the bytes of "Kiln". */
export const applicationID = 0x4b696c6e;

/**
 * What survives: `power` = what was committed survives a power failure (a sync per transaction); `process` = it survives only
 * the death of the process.
 */
export type Durability = "power" | "process";

export interface DatabaseOptions {
  /** Logical store directory; a database that was made for another one is refused. */
  readonly directory: string;
  /** Default `power`. */
  readonly durability?: Durability;
  /** The store's {@link StoreDatabase.storeID} when the store already has a database: a new or another one is refused. */
  readonly storeID?: string | undefined;
  /** Folder of the numbered `.sql` files; only tests give one. */
  readonly schema?: string;
}

/** A row as SQLite gives it: by column name. */
export type Row = Record<string, SQLOutputValue>;

/** A prepared statement whose failures are KilnErrors. It is reused: finish one iteration before starting the next. */
export class Statement {
  readonly #statement: StatementSync;
  readonly #path: string;

  constructor(statement: StatementSync, path: string) {
    this.#statement = statement;
    this.#path = path;
  }

  /** The first row. */
  get(...values: SQLInputValue[]): Row | undefined {
    try {
      return this.#statement.get(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** All rows. */
  all(...values: SQLInputValue[]): Row[] {
    try {
      return this.#statement.all(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** Row after row; no other use of this statement may come between. */
  *iterate(...values: SQLInputValue[]): Generator<Row, void, undefined> {
    try {
      yield* this.#statement.iterate(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** Runs a statement that gives no rows. */
  run(...values: SQLInputValue[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    try {
      return this.#statement.run(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }
}

export class StoreDatabase implements Disposable {
  /** The file. */
  readonly path: string;
  /** The connection itself, for what {@link prepare} and {@link transaction} don't cover. */
  readonly sql: DatabaseSync;
  /** Random name given to the store when its database was made. */
  readonly storeID: string;
  /** True when this call made the database. */
  readonly created: boolean;
  readonly #statements = new Map<string, Statement>();
  #depth = 0;

  private constructor(
    path: string,
    sql: DatabaseSync,
    identity: { uuid: string; created: boolean },
  ) {
    this.path = path;
    this.sql = sql;
    this.storeID = identity.uuid;
    this.created = identity.created;
  }

  /**
   * Opens or makes the database at `path` (its folder too) and brings its schema up to date.
   *
   * Throws `database.lost` (the store has a database, and this is not it), `database.foreign` (not Kiln's, or zb's),
   * `database.directory` (made for another store directory), `database.newer` (a later Kiln changed it), `database.corrupt`,
   * `database.locked` or `database.io`.
   */
  static open(path: string, options: DatabaseOptions): StoreDatabase {
    if (options.storeID !== undefined && isAbsent(path)) {
      throw lost(path, options.directory, "is missing");
    }
    try {
      makeFolder(dirname(path));
    } catch (error) {
      throw databaseError(error, path);
    }
    return connect(path, options.durability ?? "power", (sql) => {
      const identity = identify(sql, path, options);
      return new StoreDatabase(path, sql, identity);
    });
  }

  /** The statement `sql`, prepared once for the life of the database. */
  prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      try {
        statement = new Statement(this.sql.prepare(sql), this.path);
      } catch (error) {
        throw databaseError(error, this.path);
      }
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Runs `fn` as one transaction: all of it durable when this returns, or none of it when this throws. `fn` is synchronous.
   * Inside another transaction it is a part of that one, which can fail alone.
   */
  transaction<T>(fn: () => T extends PromiseLike<unknown> ? never : T): T {
    const depth = this.#depth;
    const begin = depth === 0 ? "begin immediate" : `savepoint level${depth}`;
    const commit = depth === 0 ? "commit" : `release level${depth}`;
    const rollback = depth === 0 ? "rollback" : `rollback to level${depth}; release level${depth}`;
    this.#exec(begin);
    this.#depth = depth + 1;
    try {
      const result = fn();
      this.#exec(commit);
      return result;
    } catch (error) {
      // A full disk can end the transaction by itself.
      if (this.sql.isTransaction) this.#exec(rollback);
      throw error;
    } finally {
      this.#depth = depth;
    }
  }

  /** Closes the database; a second call does nothing. */
  close(): void {
    if (!this.sql.isOpen) return;
    this.#statements.clear();
    try {
      this.sql.exec("pragma optimize");
    } catch {
      // Statistics only: a full disk must not keep the database open.
    }
    this.sql.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #exec(sql: string): void {
    try {
      this.sql.exec(sql);
    } catch (error) {
      throw databaseError(error, this.path);
    }
  }
}

/** What SQLite or the file system threw, as a KilnError of kind `internal` with a code of its own. */
export function databaseError(thrown: unknown, path: string): KilnError {
  if (thrown instanceof KilnError) return thrown;
  const [code, text, hint] = explain(thrown);
  return new KilnError(code, `database ${path}: ${text}`, {
    kind: "internal",
    path,
    cause: thrown,
    ...(hint === undefined ? {} : { hint }),
  });
}

const restore = "restore the file from a backup; the objects in the store directory are untouched";

function explain(thrown: unknown): [code: string, text: string, hint?: string] {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const { errcode, code } = (thrown ?? {}) as { errcode?: unknown; code?: unknown };
  if (code === "ENOSPC" || code === "EDQUOT") return ["disk.full", "the disk is full"];
  if (code === "EROFS") return ["disk.readOnly", "the file system is read-only"];
  if (typeof errcode !== "number") return ["database.io", message];
  // The low byte of SQLite's extended code is the primary one: https://www.sqlite.org/rescode.html
  switch (errcode & 0xff) {
    case 5:
    case 6:
      return ["database.locked", "another program has locked it"];
    case 8:
      return ["database.readOnly", "it cannot be written"];
    case 11:
    case 26:
      return ["database.corrupt", `the file is damaged (${message})`, restore];
    case 13:
      return ["disk.full", "the disk is full"];
    case 19:
      return ["database.constraint", message];
    default:
      return ["database.io", message];
  }
}

/**
 * A connection handed to `use`, closed again if that throws. Where shared memory for the WAL index cannot be had (a full disk),
 * a second try keeps the index in this process: nothing but the daemon reads the database then.
 */
function connect<T>(path: string, durability: Durability, use: (sql: DatabaseSync) => T): T {
  for (const exclusive of [false, true]) {
    let sql: DatabaseSync | undefined;
    try {
      sql = new DatabaseSync(path, { timeout: 250, enableForeignKeyConstraints: true });
      if (exclusive) sql.exec("pragma locking_mode = exclusive");
      sql.exec(`pragma synchronous = ${durability === "power" ? "full" : "off"}`);
      sql.exec("pragma temp_store = memory");
      return use(sql);
    } catch (error) {
      if (sql?.isOpen === true) sql.close();
      const failure = databaseError(error, path);
      const worthAnotherTry = failure.code === "database.io" || failure.code === "disk.full";
      if (exclusive || !worthAnotherTry) throw failure;
    }
  }
  throw new Error("unreachable");
}

/** Checks whose database this is, migrates it, and gives the store's random name. */
function identify(
  sql: DatabaseSync,
  path: string,
  options: DatabaseOptions,
): { uuid: string; created: boolean } {
  const application = Number(sql.prepare("pragma application_id").get()?.["application_id"]);
  const version = Number(sql.prepare("pragma user_version").get()?.["user_version"]);
  const tables = sql.prepare("select name from sqlite_master where type = 'table'").all();
  const names = new Set(tables.map((row) => row["name"]));
  const created = names.size === 0 && application === 0;
  if (!created && application !== applicationID) throw foreign(path, names);
  if (created && options.storeID !== undefined) throw lost(path, options.directory, "is empty");
  if (created) {
    // Both must come before the first table is written.
    sql.exec("pragma auto_vacuum = incremental");
  }
  const migrations = readMigrations(options.schema);
  const newest = migrations.at(-1)?.version ?? 0;
  if (version > newest) {
    throw new KilnError(
      "database.newer",
      `database ${path}: its schema is version ${version}, and this Kiln knows ${newest} at most`,
      {
        kind: "internal",
        path,
        hint: "run the version of Kiln that opened it last, or a later one",
      },
    );
  }
  if (sql.prepare("pragma journal_mode").get()?.["journal_mode"] !== "wal") {
    sql.exec("pragma journal_mode = wal");
  }
  for (const migration of migrations) {
    if (migration.version > version)
      migrate(sql, migration, created ? options.directory : undefined);
  }
  const row = sql.prepare("select uuid, directory from store where id = 1").get();
  const uuid = row?.["uuid"];
  if (row === undefined || typeof uuid !== "string") {
    throw new KilnError(
      "database.corrupt",
      `database ${path}: it does not say which store it is for`,
      {
        kind: "internal",
        path,
        hint: restore,
      },
    );
  }
  if (row["directory"] !== options.directory) {
    throw new KilnError(
      "database.directory",
      `database ${path} belongs to the store directory ${String(row["directory"])}, not to ${options.directory}`,
      { kind: "internal", path, hint: "give the database that belongs to the store directory" },
    );
  }
  if (options.storeID !== undefined && uuid !== options.storeID) {
    throw lost(path, options.directory, "belongs to another store");
  }
  return { uuid, created };
}

interface Migration {
  readonly version: number;
  readonly sql: string;
}

/** The numbered files of the schema, ascending. */
function readMigrations(folder = fileURLToPath(new URL("./schema", import.meta.url))): Migration[] {
  const names = readdirSync(folder).filter((name) => /^\d+[^/]*\.sql$/.test(name));
  const migrations = names.map((name) => ({
    version: Number.parseInt(name, 10),
    sql: readFileSync(join(folder, name), "utf8"),
  }));
  return migrations.toSorted((a, b) => a.version - b.version);
}

/** One migration, whole or not at all. The first one also records the store it is for. */
function migrate(sql: DatabaseSync, migration: Migration, directory: string | undefined): void {
  sql.exec("begin immediate");
  try {
    sql.exec(migration.sql);
    if (migration.version === 1 && directory !== undefined) {
      sql
        .prepare("insert into store (id, uuid, directory, created_at) values (1, ?, ?, ?)")
        .run(randomUUID(), directory, Date.now());
      sql.exec(`pragma application_id = ${applicationID}`);
    }
    sql.exec(`pragma user_version = ${migration.version}`);
    sql.exec("commit");
  } catch (error) {
    if (sql.isTransaction) sql.exec("rollback");
    throw error;
  }
}

function foreign(path: string, tables: ReadonlySet<unknown>): KilnError {
  if (tables.has("paths") && tables.has("drv_hashes")) {
    return new KilnError("database.foreign", `database ${path} belongs to zb`, {
      kind: "internal",
      path,
      hint: `to take the store over, run: kiln store adopt ${path}`,
    });
  }
  return new KilnError("database.foreign", `database ${path} belongs to another program`, {
    kind: "internal",
    path,
  });
}

function lost(path: string, directory: string, what: string): KilnError {
  return new KilnError(
    "database.lost",
    `database ${path} ${what}, and the store ${directory} is not new`,
    {
      kind: "internal",
      path,
      hint: `give the store's own database, or restore it; to begin anew without the objects, remove ${join(directory, ".kiln", "store-id")}`,
    },
  );
}

function isAbsent(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) === undefined;
}

/** Makes a folder and its parents, each one durable in its parent. */
function makeFolder(folder: string): void {
  if (!isAbsent(folder)) return;
  const parent = dirname(folder);
  makeFolder(parent);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const handle = openSync(parent, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
