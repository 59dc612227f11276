/** Which database is a store's own: the store directory and the database know each other's id. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { errorCode, fileError } from "../files/file-error.ts";
import { writeWholeFile } from "../files/whole-file.ts";
import type { StoreDirectory } from "../format/store-path.ts";
import { StoreDatabase, type Durability } from "./database/open.ts";
import type { ObjectFiles } from "./object-files.ts";

interface OwnDatabaseOptions {
  readonly directory: StoreDirectory;
  readonly database: string;
  readonly durability?: Durability | undefined;
}

/** Opens the store's own database. From the first time on, no other will do. */
export function openDatabase(files: ObjectFiles, options: OwnDatabaseOptions): StoreDatabase {
  const { directory, durability } = options;
  const storeID = readStoreID(files.idFile);
  const database = StoreDatabase.open(resolve(options.database), {
    directory,
    storeID,
    idFile: files.idFile,
    ...(durability && { durability }),
  });
  try {
    if (storeID === undefined) writeStoreID(files.idFile, database.storeID);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** The store's id; undefined when it never had a database. */
export function readStoreID(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw fileError("read", file, error);
  }
}

/** Has the store directory name its database from now on. */
export function writeStoreID(file: string, id: string): void {
  try {
    writeWholeFile(file, `${id}\n`, { mode: 0o600, synced: true });
  } catch (error) {
    throw fileError("write", file, error);
  }
}
