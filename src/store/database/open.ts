/**
 * The store's database: SQLite in WAL mode, with numbered migrations.
 *
 * Whoever opens it must hold the store lock; then this connection is the only writer. Every failure leaves as a
 * {@link KilnError} of kind `internal`, so that a full disk or a damaged file costs one request and not the process.
 */
import { chmodSync, closeSync, fsyncSync, openSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeFolders } from "../../files/make-folders.ts";
import { databaseError } from "./error.ts";
import { identify, lost } from "./identity.ts";
import { JointWrites } from "./joint-writes.ts";
import { Statement } from "./statement.ts";
import { WriteAheadLog } from "./write-ahead-log.ts";

export { databaseError } from "./error.ts";
export { applicationID } from "./identity.ts";
export { Statement, type Row } from "./statement.ts";

/**
 * What survives: `power` = what was committed survives a power failure (a sync per transaction); `process` = it survives only
 * the death of the process.
 */
export type Durability = "power" | "process";

/** Milliseconds between two rounds of upkeep, and the pages (of 4 KiB) that one gives back at most: it holds up everything else. */
const hour = 3_600_000;
const upkeepPages = 4096;

export interface DatabaseOptions {
  /** Logical store directory; a database that was made for another one is refused. */
  readonly directory: string;
  /** Default `power`. */
  readonly durability?: Durability;
  /** The store's {@link StoreDatabase.storeID} when the store already has a database: a new or another one is refused. */
  readonly storeID?: string | undefined;
  /** The file that says so, for messages. */
  readonly idFile?: string | undefined;
  /** The name of the store, for a database that is new; default a random one. */
  readonly newID?: string | undefined;
  /** Folder of the numbered `.sql` files; only tests give one. */
  readonly schema?: string;
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
  readonly #log: WriteAheadLog | undefined;
  readonly #joint: JointWrites;
  readonly #statements = new Map<string, Statement>();
  readonly #upkeep: NodeJS.Timeout;
  #depth = 0;

  private constructor(connection: Connection, options: DatabaseOptions) {
    const { path, sql } = connection;
    const { uuid, created } = identify(sql, path, options);
    this.path = path;
    this.sql = sql;
    this.storeID = uuid;
    this.created = created;
    const mode = sql.prepare("pragma journal_mode").get()?.["journal_mode"];
    // Without syncs there is nothing to be gained, and without a write-ahead log it would not be safe.
    if (mode === "wal" && options.durability !== "process") {
      this.#log = new WriteAheadLog(connection);
      // Syncing is the log's business from here on, but for what says otherwise.
      sql.exec("pragma synchronous = normal");
    }
    this.#joint = new JointWrites({
      transact: (fn) => this.#transact(fn),
      isOpen: () => sql.isTransaction,
      sync: async () => await this.#log?.sync(),
    });
    this.#upkeep = setInterval(() => this.#keepUp(), hour).unref();
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
      throw lost(path, options, "is missing");
    }
    try {
      makeFolder(dirname(path));
    } catch (error) {
      throw databaseError(error, path);
    }
    return connect(
      path,
      options.durability ?? "power",
      (connection) => new StoreDatabase(connection, options),
    );
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
    if (this.#log === undefined || this.#depth > 0) return this.#transact(fn);
    this.#exec("pragma synchronous = full");
    try {
      return this.#transact(fn);
    } finally {
      this.#exec("pragma synchronous = normal");
    }
  }

  /**
   * As {@link transaction}, but it survives the end of this process and perhaps not a power failure, and costs no wait for the disk:
   * for records of what is going on. A part of another transaction is as durable as that one.
   */
  lightly<T>(fn: () => T extends PromiseLike<unknown> ? never : T): T {
    return this.#transact(fn);
  }

  #transact<T>(fn: () => T extends PromiseLike<unknown> ? never : T): T {
    const depth = this.#depth;
    const begin = depth === 0 ? "begin immediate" : `savepoint level${depth}`;
    const commit = depth === 0 ? "commit" : `release level${depth}`;
    const rollback = depth === 0 ? "rollback" : `rollback to level${depth}; release level${depth}`;
    this.#exec(begin);
    this.#depth = depth + 1;
    try {
      const result = fn();
      this.#exec(commit);
      if (depth === 0) this.#log?.grew();
      return result;
    } catch (error) {
      // A full disk can end the transaction by itself.
      if (this.sql.isTransaction) this.#exec(rollback);
      throw error;
    } finally {
      this.#depth = depth;
    }
  }

  /**
   * As {@link transaction}, but the wait for the disk does not hold up the event loop. What `fn` wrote can be read at once; it is
   * durable when the result resolves.
   */
  async durably<T>(fn: () => T extends PromiseLike<unknown> ? never : T): Promise<T> {
    const isWhole = this.#depth === 0;
    const result = this.#transact(fn);
    if (isWhole) await this.#log?.sync();
    return result;
  }

  /** As {@link durably}, but in one transaction with what others write so at the same time: `fn` may run later. Not inside another one. */
  jointly<T>(fn: () => T extends PromiseLike<unknown> ? never : T): Promise<T> {
    return this.#joint.add(fn);
  }

  /** Resolves when nothing is done in the background. To be awaited before {@link close}. */
  async settled(): Promise<void> {
    await this.#log?.settled();
  }

  /** Closes the database; a second call does nothing. */
  close(): void {
    if (!this.sql.isOpen) return;
    clearInterval(this.#upkeep);
    this.#log?.close();
    this.#statements.clear();
    try {
      this.sql.exec("pragma optimize");
    } catch {
      // Statistics only: a full disk must not keep the database open.
    }
    this.sql.close();
  }

  /** Keeps the statistics for the query planner fresh, and gives pages that are free back to the file system. */
  #keepUp(): void {
    try {
      this.sql.exec(`pragma optimize; pragma incremental_vacuum(${upkeepPages})`);
      this.#log?.grew();
    } catch {
      // A full disk, or another reader: the next hour will do.
    }
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

/** An open database that nothing is known about yet. */
export interface Connection {
  readonly path: string;
  readonly sql: DatabaseSync;
  /** Nobody else can open the database. */
  readonly exclusive: boolean;
}

/**
 * A connection handed to `use`, closed again if that throws. Where shared memory for the index of the write-ahead log cannot be
 * had (a full disk), a second try keeps the index in this process: nothing but the daemon can read the database then.
 */
function connect<T>(path: string, durability: Durability, use: (connection: Connection) => T): T {
  for (const exclusive of [false, true]) {
    let sql: DatabaseSync | undefined;
    makePrivate(path);
    try {
      sql = new DatabaseSync(path, { timeout: 250, enableForeignKeyConstraints: true });
      if (exclusive) sql.exec("pragma locking_mode = exclusive");
      sql.exec(`pragma synchronous = ${durability === "power" ? "full" : "off"}`);
      sql.exec("pragma temp_store = memory");
      return use({ path, sql, exclusive });
    } catch (error) {
      if (sql?.isOpen === true) sql.close();
      const failure = databaseError(error, path);
      const worthAnotherTry = failure.code === "database.io" || failure.code === "disk.full";
      if (exclusive || !worthAnotherTry) throw failure;
    }
  }
  throw new Error("unreachable");
}

/**
 * Makes the database its owner's alone. Whoever can read its files can hold SQLite's locks on them, too (fcntl(2) asks for no more),
 * and so keep everybody from writing.
 */
function makePrivate(path: string): void {
  try {
    // SQLite gives the log and its index the mode of the database; a file that it had made could be opened before it got another.
    if (isAbsent(path)) closeSync(openSync(path, "a", 0o600));
    const file = realpathSync(path);
    for (const each of [file, `${file}-wal`, `${file}-shm`]) {
      const mode = statSync(each, { throwIfNoEntry: false })?.mode ?? 0;
      if ((mode & 0o077) !== 0) chmodSync(each, mode & 0o700);
    }
  } catch {
    // On a read-only disk nobody writes; what else is wrong SQLite says better.
  }
}

function isAbsent(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) === undefined;
}

/** Makes a folder and its parents, each one durable in its parent. */
function makeFolder(folder: string): void {
  if (!isAbsent(folder)) return;
  const parent = dirname(folder);
  makeFolder(parent);
  makeFolders(folder, 0o755);
  const handle = openSync(parent, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
