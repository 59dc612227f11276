/**
 * Making a database of the objects that lie in a store directory, when the old one is lost.
 *
 * What an object is follows from itself: its path is made of its name, its references and a hash of its bytes, and its references are
 * the store paths that it contains. What is not in the objects is lost: builds and their logs, realisations, roots.
 */
import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { attempt } from "../files/file-error.ts";
import type { ContentAddress } from "../format/content-address.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { splitReferences, storePathOf } from "../format/path-digest.ts";
import { ReferenceScanner } from "../format/references/scan.ts";
import {
  digestOf,
  directoryOf,
  nameOf,
  objectNameOf,
  storePathFor,
  type StoreDirectory,
  type StorePath,
} from "../format/store-path.ts";
import { compareBytes } from "../util/byte-string.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { checkClaim, hashFile, hashNar, type Claim, type Survey } from "./address.ts";
import { ObjectTable } from "./database/objects.ts";
import { StoreDatabase } from "./database/open.ts";
import { textIn } from "./database/row.ts";
import { StoreLock } from "./locks.ts";
import { ObjectFiles, type Log } from "./object-files.ts";
import { readStoreID, writeStoreID } from "./own-database.ts";
import { surveyTree } from "./verification.ts";

export interface RebuildOptions {
  /** Logical store directory. */
  readonly directory: StoreDirectory;
  /** Where the objects are; default `directory`. */
  readonly realDirectory?: string | undefined;
  /** The database to be made. */
  readonly database: string;
  /** Also when there is a sound database; default false. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?:
    | ((progress: { readonly done: number; readonly total: number }) => void)
    | undefined;
  readonly log?: Log | undefined;
}

export interface Rebuilt {
  /** How many objects the database knows. */
  readonly objects: number;
  /** What lies in the store directory and cannot be told, with the reason. It is left alone. */
  readonly leftOut: readonly { readonly name: string; readonly message: string }[];
  /** Where the old database is now. */
  readonly old: string | undefined;
}

/**
 * Makes the database. The old one, if any, is kept beside it.
 *
 * @throws KilnError `store.locked`; `database.sound` when there is nothing to be done; `store.directory`, `file.…`; the signal's reason
 */
export async function rebuildDatabase(options: RebuildOptions): Promise<Rebuilt> {
  const { directory, signal } = options;
  const root = resolve(options.realDirectory ?? directory);
  const database = resolve(options.database);
  if (lstatSync(root, { throwIfNoEntry: false }) === undefined) {
    throw new KilnError("store.absent", `there is no store at ${root}`, { path: root });
  }
  const files = ObjectFiles.open(root, options.log ?? (() => undefined));
  const lock = await StoreLock.acquire(files.lockFile, root);
  try {
    const storeID = readStoreID(files.idFile);
    if (options.force !== true) refuseSound(database, directory, storeID);
    const found = await readObjects(root, options);
    signal?.throwIfAborted();
    const { objects, leftOut } = connected(found);
    const draft = `${database}.rebuilding`;
    removeDatabase(draft);
    const uuid = write(draft, { directory, storeID }, objects);
    const old = putAside(database);
    attempt("rename", draft, () => renameSync(draft, database));
    syncFolder(dirname(database));
    if (storeID === undefined) writeStoreID(files.idFile, uuid);
    return { objects: objects.length, leftOut, old };
  } finally {
    lock.release();
  }
}

/** Why a database that is there cannot be opened, where a new one helps. */
const damages: ReadonlySet<string> = new Set([
  "database.corrupt",
  "database.directory",
  "database.io",
  "database.lost",
]);

function refuseSound(database: string, directory: string, storeID: string | undefined): void {
  if (lstatSync(database, { throwIfNoEntry: false }) === undefined) return;
  let fault = "";
  try {
    using opened = StoreDatabase.open(database, { directory, storeID });
    const row = opened.prepare("pragma quick_check(1)").get();
    if (row !== undefined && textIn(row, "quick_check") !== "ok")
      fault = textIn(row, "quick_check");
  } catch (error) {
    // What is not damaged is not for us to replace: another program's database, and one that cannot be looked at now.
    if (!damages.has(KilnError.from(error).code)) throw error;
    return;
  }
  if (fault !== "") return;
  throw new KilnError("database.sound", `database ${database} is in order`, {
    path: database,
    hint: "--force makes a new one all the same; builds, realisations and roots are lost then",
  });
}

interface Found {
  readonly objects: readonly ObjectInfo[];
  readonly leftOut: Rebuilt["leftOut"];
}

async function readObjects(root: string, options: RebuildOptions): Promise<Found> {
  const { directory, signal } = options;
  const leftOut: { name: string; message: string }[] = [];
  const paths = new Map<string, StorePath>();
  for (const name of readdirSync(root).toSorted()) {
    if (name === ".kiln") continue;
    try {
      const path = storePathFor(directory, name);
      paths.set(digestOf(path), path);
    } catch (error) {
      leftOut.push({ name, message: KilnError.from(error).message });
    }
  }
  const objects: ObjectInfo[] = [];
  const scanner = new ReferenceScanner(paths.keys());
  let done = 0;
  for (const path of paths.values()) {
    signal?.throwIfAborted();
    const name = objectNameOf(path);
    try {
      objects.push(await recognize(path, `${root}/${name}`, { paths, scanner }));
    } catch (error) {
      leftOut.push({ name, message: KilnError.from(error).message });
    }
    options.onProgress?.({ done: ++done, total: paths.size });
  }
  return { objects, leftOut };
}

/** What the object at `tree` must be, since it has this path. `scanner` finds the digests of `paths`. */
async function recognize(
  path: StorePath,
  tree: string,
  { paths, scanner }: { paths: ReadonlyMap<string, StorePath>; scanner: ReferenceScanner },
): Promise<ObjectInfo> {
  scanner.restart();
  const survey = await surveyTree(tree, (chunk) => scanner.write(chunk));
  const mentioned = [...scanner.restart()].map((digest) => paths.get(digest));
  const found = mentioned.filter((one) => one !== undefined).toSorted(compareBytes);
  // What is fixed beforehand may mention store paths without referring to them.
  for (const references of found.length === 0 ? [found] : [found, []]) {
    const ca = await findAddress({ storePath: path, references, ca: undefined }, survey, tree);
    if (ca === undefined) continue;
    const { narHash, narSize } = survey;
    return { storePath: path, narHash, narSize, references, ca };
  }
  throw new KilnError("path.mismatch", "its contents are not those that its name was made of", {
    path,
  });
}

/** The one address that gives the object its path; undefined when there is none. */
async function findAddress(
  claim: Claim,
  survey: Survey,
  tree: string,
): Promise<ContentAddress | undefined> {
  const { storePath: path, references } = claim;
  const isPlain = survey.file?.executable === false && !references.includes(path);
  if (isPlain) {
    const hash = await hashFile("sha256", tree);
    for (const method of ["text", "flat"] as const) {
      if (isAddressOf(path, { method, hash }, references)) return { method, hash };
    }
  }
  try {
    return await checkClaim(claim, survey, () => tree);
  } catch (error) {
    if (!hasCode(error, "path.mismatch") && !hasCode(error, "ca.references")) throw error;
  }
  for (const type of ["sha512", "sha1", "md5"] as const) {
    const nar = { method: "recursive", hash: await hashNar(type, tree) } as const;
    if (isAddressOf(path, nar, references)) return nar;
    if (!isPlain) continue;
    const flat = { method: "flat", hash: await hashFile(type, tree) } as const;
    if (isAddressOf(path, flat, references)) return flat;
  }
  return undefined;
}

function isAddressOf(
  path: StorePath,
  ca: ContentAddress,
  references: readonly StorePath[],
): boolean {
  try {
    const all = splitReferences(path, references);
    return storePathOf(directoryOf(path), nameOf(path), ca, all) === path;
  } catch (error) {
    if (hasCode(error, "ca.references")) return false;
    throw error;
  }
}

/** Without the objects that refer to some that are not there. */
function connected({ objects, leftOut }: Found): Found {
  const known = new Map(objects.map((info) => [info.storePath, info]));
  const lost: { name: string; message: string }[] = [];
  for (let before = -1; before !== known.size;) {
    before = known.size;
    for (const [path, { references }] of known) {
      const missing = references.find((reference) => !known.has(reference));
      if (missing === undefined) continue;
      known.delete(path);
      lost.push({
        name: objectNameOf(path),
        message: `it refers to ${missing}, which is not there`,
      });
    }
  }
  return { objects: [...known.values()], leftOut: [...leftOut, ...lost] };
}

/** @returns the id of the store */
function write(
  file: string,
  { directory, storeID }: { readonly directory: string; readonly storeID: string | undefined },
  objects: readonly ObjectInfo[],
): string {
  try {
    using database = StoreDatabase.open(file, { directory, newID: storeID });
    const table = new ObjectTable(database);
    database.transaction(() => table.insert(objects, Date.now() + 1));
    // All of it in one file.
    database.prepare("pragma wal_checkpoint(truncate)").get();
    return database.storeID;
  } catch (error) {
    removeDatabase(file);
    throw error;
  }
}

/** Gives the database's files other names, if there are any. Gives the new name of the main one. */
function putAside(database: string): string | undefined {
  if (lstatSync(database, { throwIfNoEntry: false }) === undefined) {
    removeDatabase(database); // a write-ahead log of nothing
    return undefined;
  }
  const aside = `${database}.old-${new Date().toISOString().replaceAll(/[:.]/g, "")}`;
  for (const end of ["", "-wal", "-shm"]) {
    if (lstatSync(database + end, { throwIfNoEntry: false }) === undefined) continue;
    attempt("rename", database + end, () => renameSync(database + end, aside + end));
  }
  return aside;
}

function removeDatabase(file: string): void {
  for (const end of ["", "-wal", "-shm"]) {
    attempt("remove", file + end, () => rmSync(file + end, { force: true }));
  }
}

function syncFolder(folder: string): void {
  attempt("sync", folder, () => {
    const handle = openSync(folder, "r");
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  });
}
