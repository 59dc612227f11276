/**
 * Taking over a store of zb's, database and all.
 *
 * Kiln's database may come to lie where zb's is, so that the daemon is started with the same flags as before. Then it is made beside
 * it, as `<zb's>.adopting`, and takes its name when it is complete; zb's is kept as `<zb's>.zb`:
 *
 *     fill .adopting ─> close it ─> link .zb to zb's ─> rename .adopting over zb's
 *
 * The store is locked all that time, and zb's database, too. Whatever moment the machine dies at: before the last step everything is
 * zb's still, and the next try goes on with `.adopting`; after it, everything is Kiln's.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { errorCode, fileError } from "../../files/file-error.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { AdoptOptions, AdoptReport } from "../adopt.ts";
import { Store, type StoreOptions } from "../store.ts";
import { ZbDatabase } from "./zb-database.ts";

export interface TakeOverOptions extends Omit<StoreOptions, "database">, AdoptOptions {
  /** zb's database. */
  readonly zbDatabase: string;
  /** Where Kiln's database is, or is to be; default: in the place of zb's. */
  readonly database?: string | undefined;
}

export interface TakeOverReport extends AdoptReport {
  /** Kiln's database. */
  readonly database: string;
  /** Where zb's database is now. */
  readonly zbDatabase: string;
}

/**
 * Makes Kiln's what zb has in a store. It can be repeated: what is Kiln's already is left as it is.
 *
 * @throws KilnError `zb.…` (see {@link ZbDatabase.open}; `zb.adopted` when it was taken over before), `zb.directory`,
 *   what {@link Store.open} throws, the signal's reason
 */
export async function takeOver(options: TakeOverOptions): Promise<TakeOverReport> {
  const file = resolve(options.zbDatabase);
  using zb = ZbDatabase.open(file, Date.now());
  const wanted = options.database === undefined ? file : resolve(options.database);
  const inPlace = isSame(wanted, file);
  // Beside the file itself, where that is reached by a link.
  const place = inPlace ? realpathSync(file) : wanted;
  const working = inPlace ? `${place}.adopting` : wanted;
  const store = await Store.open({ ...options, database: working });
  let kept = file;
  const exchange = (): void => {
    kept = keep(place);
    zb.checkpoint();
    putInPlace(working, place);
    // SQLite removes what lies beside a database when it is closed, by name: that must not be Kiln's.
    zb.close();
  };
  let isDone = false;
  try {
    const report = await store.adopt(zb, options);
    isDone = true;
    await store.close(inPlace ? exchange : undefined);
    return { ...report, database: place, zbDatabase: kept };
  } catch (error) {
    if (!isDone) await store.close();
    throw error;
  }
}

function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return x !== undefined && y !== undefined && x.ino === y.ino && x.dev === y.dev;
}

/** Gives zb's database a second name, under which it stays. */
function keep(file: string): string {
  for (let i = 1; ; i++) {
    const name = i === 1 ? `${file}.zb` : `${file}.zb-${i}`;
    try {
      linkSync(file, name);
      return name;
    } catch (error) {
      const code = errorCode(error);
      if (code === "EEXIST") {
        if (isSame(file, name)) return name;
      } else if (code === "EPERM" || code === "EOPNOTSUPP" || code === "EMLINK") {
        return copy(file, name);
      } else {
        throw fileError("keep", file, error);
      }
    }
  }
}

/** For file systems without hard links. */
function copy(file: string, name: string): string {
  try {
    copyFileSync(file, name, constants.COPYFILE_EXCL);
    syncNow(name);
    return name;
  } catch (error) {
    throw fileError("copy", file, error);
  }
}

/** The closed database `working` takes the name `place`. What lies beside that, to be read with it, belongs to the old one. */
function putInPlace(working: string, place: string): void {
  if (isFilled(`${working}-wal`) || isFilled(`${place}-wal`)) {
    throw new KilnError("database.io", `the write-ahead log of ${working} was not emptied`, {
      kind: "internal",
      path: working,
      hint: "is the disk full?",
    });
  }
  try {
    rmSync(`${place}-wal`, { force: true });
    rmSync(`${place}-shm`, { force: true });
    rmSync(`${working}-reserve`, { force: true }); // the store makes one for the new name
    syncNow(working);
    renameSync(working, place);
    syncNow(dirname(place));
  } catch (error) {
    throw fileError("write", place, error);
  }
}

function isFilled(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

function syncNow(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
