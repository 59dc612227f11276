/** Whose a database is, and what its schema is. */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { defaultStoreDirectory } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { restore } from "./error.ts";
import type { DatabaseOptions } from "./open.ts";

/** Marks a database as Kiln's in SQLite's file header: the bytes of "Kiln". */
export const applicationID = 0x4b696c6e;

/** Checks whose database this is, migrates it, and gives the store's random name. */
export function identify(
  sql: DatabaseSync,
  path: string,
  options: DatabaseOptions,
): { uuid: string; created: boolean } {
  const application = Number(sql.prepare("pragma application_id").get()?.["application_id"]);
  const version = Number(sql.prepare("pragma user_version").get()?.["user_version"]);
  const tables = sql.prepare("select name from sqlite_master where type = 'table'").all();
  const names = new Set(tables.map((row) => row["name"]));
  const created = names.size === 0 && application === 0;
  if (!created && application !== applicationID) throw foreign(path, names, options.directory);
  if (created && options.storeID !== undefined) throw lost(path, options, "is empty");
  if (created) {
    // It has no effect once the first table is written.
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
      migrate(
        sql,
        migration,
        created ? { ...options, uuid: options.newID ?? randomUUID() } : undefined,
      );
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
      {
        kind: "internal",
        path,
        hint: "have one of the two in another folder: a store's database lies beside it (or name it: kiln serve --db)",
      },
    );
  }
  if (options.storeID !== undefined && uuid !== options.storeID) {
    throw lost(path, options, "belongs to another store");
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
function migrate(
  sql: DatabaseSync,
  migration: Migration,
  store: { readonly directory: string; readonly uuid: string } | undefined,
): void {
  sql.exec("begin immediate");
  try {
    sql.exec(migration.sql);
    if (migration.version === 1 && store !== undefined) {
      sql
        .prepare("insert into store (id, uuid, directory, created_at) values (1, ?, ?, ?)")
        .run(store.uuid, store.directory, Date.now());
      sql.exec(`pragma application_id = ${applicationID}`);
    }
    sql.exec(`pragma user_version = ${migration.version}`);
    sql.exec("commit");
  } catch (error) {
    if (sql.isTransaction) sql.exec("rollback");
    throw error;
  }
}

function foreign(path: string, tables: ReadonlySet<unknown>, directory: string): KilnError {
  if (tables.has("paths") && tables.has("drv_hashes")) {
    const store = directory === defaultStoreDirectory ? "" : ` --store ${directory}`;
    return new KilnError("database.foreign", `database ${path} belongs to zb`, {
      kind: "internal",
      path,
      hint: `to take the store over, run: kiln store adopt${store} --zb-db ${path}`,
    });
  }
  return new KilnError("database.foreign", `database ${path} belongs to another program`, {
    kind: "internal",
    path,
  });
}

export function lost(path: string, options: DatabaseOptions, what: string): KilnError {
  const { directory, idFile = join(directory, ".kiln", "store-id") } = options;
  const store = directory === defaultStoreDirectory ? "" : ` --store ${directory}`;
  return new KilnError(
    "database.lost",
    `database ${path} ${what}, and the store ${directory} is not new`,
    {
      kind: "internal",
      path,
      hint: `give the store's own database, or restore it, or make a new one of the objects: kiln store rebuild-db${store}; to begin anew without the objects, remove ${idFile}`,
    },
  );
}
