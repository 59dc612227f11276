/**
 * Taking over what zb has in a store: each object after a look at every byte of it, then the realisations and the builds. All of it
 * becomes Kiln's in one transaction, or nothing; the objects stay where they are.
 */
import { freeze } from "../files/freeze.ts";
import { parseContentAddress } from "../format/content-address.ts";
import { parseHash } from "../format/hash.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { directoryOf, objectNameOf, parseStorePath, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { buildOf, realizationOf } from "./adopt/history.ts";
import { clearModes, findLinkTargets } from "./adopt/mending.ts";
import type { ZbDatabase, ZbObject } from "./adopt/zb-database.ts";
import { BuildTable } from "./database/builds.ts";
import { RealizationTable } from "./database/realizations.ts";
import { ownerOfObjects } from "./object-files.ts";
import type { StoreParts } from "./parts.ts";
import { withValidSignatures } from "./realization-signatures.ts";
import type { WrittenTree } from "./syncer.ts";
import type { ObjectRecord } from "./verification.ts";
import { VerificationPool } from "./verification-pool.ts";

export interface AdoptOptions {
  /** Bytes of the log of a result of zb's; undefined, the default, when there is none. */
  readonly logSize?: ((buildID: string, drvPath: StorePath) => number | undefined) | undefined;
  /** Called after each object that was read. */
  readonly onProgress?: ((progress: AdoptProgress) => void) | undefined;
  /** Ends the work; then nothing was adopted. */
  readonly signal?: AbortSignal | undefined;
}

/** How much of what has to be read was read; bytes are those of NARs. */
export interface AdoptProgress {
  readonly objects: number;
  readonly bytes: number;
  readonly allObjects: number;
  readonly allBytes: number;
}

/** An object of zb's that does not become one of Kiln's. */
export interface LeftOut {
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

export interface AdoptReport {
  /** Objects that are Kiln's now. */
  readonly adopted: readonly StorePath[];
  /** Bytes of their NARs. */
  readonly bytes: number;
  /** How many were Kiln's before. */
  readonly present: number;
  /** Objects in which zb had made files executable, which they are not any more. */
  readonly mended: readonly StorePath[];
  /** In the order of their paths. They lie where they lay, and do not exist for clients. */
  readonly leftOut: readonly LeftOut[];
  readonly realizations: number;
  readonly builds: number;
  /** How many signatures were invalid, and were dropped. */
  readonly droppedSignatures: number;
}

/** @throws KilnError `zb.directory` when zb's objects are those of another store directory; the signal's reason; `database.…` */
export async function adoptObjects(
  parts: StoreParts,
  zb: ZbDatabase,
  options: AdoptOptions = {},
): Promise<AdoptReport> {
  const rows = [...zb.objects()];
  checkDirectory(parts, zb, rows);
  const leftOut = new Map<string, LeftOut>();
  const records: ObjectRecord[] = [];
  for (const row of rows) {
    try {
      records.push(recordOf(parts, row));
    } catch (error) {
      leave(leftOut, row.path, error);
    }
  }
  const missing = records.filter(({ storePath }) => !parts.objects.has(storePath));
  await using pool = new VerificationPool();
  const work: Work = { parts, pool, leftOut };
  const verified = await verifyAll(work, missing, options);
  const damaged = missing.filter(({ storePath }) => isMismatch(leftOut.get(storePath)));
  const mended = await mendAll(work, damaged, rows);
  const infos = withoutBroken(parts, [...verified, ...mended], leftOut);
  const trees: WrittenTree[] = [];
  for (const { storePath } of infos) {
    options.signal?.throwIfAborted();
    const tree = parts.files.pathOf(storePath);
    trees.push({ tree, entries: await freeze(tree, ownerOfObjects()) });
  }
  await parts.syncer.trees(trees);
  await parts.syncer.names();
  options.signal?.throwIfAborted();
  const history = await parts.database.durably(() => {
    parts.objects.insert(infos, Date.now() + 1);
    return { ...addRealizations(parts, zb), builds: addBuilds(parts, zb, rows, options) };
  });
  return {
    adopted: infos.map(({ storePath }) => storePath),
    bytes: infos.reduce((sum, { narSize }) => sum + narSize, 0),
    present: records.length - missing.length,
    mended: mended.map(({ storePath }) => storePath),
    leftOut: [...leftOut.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    ...history,
  };
}

/** zb does not write down which store directory its database is for; its objects tell. */
function checkDirectory(parts: StoreParts, zb: ZbDatabase, rows: readonly ZbObject[]): void {
  const directories = new Set(rows.flatMap(({ path }) => directoryIn(path) ?? []));
  const [other] = directories;
  if (other === undefined || directories.has(parts.directory)) return;
  throw new KilnError(
    "zb.directory",
    `zb's database ${zb.path} is for the store directory ${other}, not for ${parts.directory}`,
    { path: zb.path, hint: `--store ${other}` },
  );
}

function directoryIn(path: string): string | undefined {
  try {
    return directoryOf(parseStorePath(path));
  } catch {
    return undefined;
  }
}

/** @throws KilnError when a text in zb's row does not mean anything */
function recordOf({ directory }: StoreParts, row: ZbObject): ObjectRecord {
  const storePath = parseStorePath(row.path);
  if (directoryOf(storePath) !== directory) {
    throw new KilnError("path.invalid", `it is not in the store directory ${directory}`);
  }
  return {
    storePath,
    narHash: row.narHash === undefined ? undefined : parseHash(row.narHash),
    narSize: row.narSize,
    references: row.references.map(parseStorePath),
    ca: row.ca === undefined ? undefined : parseContentAddress(row.ca),
  };
}

interface Work {
  readonly parts: StoreParts;
  readonly pool: VerificationPool;
  readonly leftOut: Map<string, LeftOut>;
}

/** Reads the objects, several at once. Those that are not what zb says are put into `leftOut`. */
async function verifyAll(
  { parts, pool, leftOut }: Work,
  records: readonly ObjectRecord[],
  { onProgress, signal }: AdoptOptions,
): Promise<ObjectInfo[]> {
  const allBytes = records.reduce((sum, { narSize }) => sum + narSize, 0);
  let [objects, bytes] = [0, 0];
  const infos: ObjectInfo[] = [];
  // The largest first: at the end no thread should work alone.
  const queue = records.toSorted((a, b) => b.narSize - a.narSize).values();
  const workThrough = async (): Promise<void> => {
    for (const record of queue) {
      const { storePath, narSize } = record;
      signal?.throwIfAborted();
      try {
        infos.push(await pool.verify(record, parts.files.pathOf(storePath)));
      } catch (error) {
        leave(leftOut, storePath, error);
      }
      objects++;
      bytes += narSize;
      onProgress?.({ objects, bytes, allObjects: records.length, allBytes });
    }
  };
  await Promise.all(Array.from({ length: pool.threads }, workThrough));
  return infos;
}

/** Sets right what zb itself has changed in objects. They are not left out any more. */
async function mendAll(
  { parts, pool, leftOut }: Work,
  damaged: readonly ObjectRecord[],
  rows: readonly ZbObject[],
): Promise<ObjectInfo[]> {
  if (damaged.length === 0) return [];
  const names = rows.map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
  const targets = await findLinkTargets(parts.files.root, names);
  const infos: ObjectInfo[] = [];
  for (const record of damaged) {
    const { storePath } = record;
    const tree = parts.files.pathOf(storePath);
    const suspects = targets.get(objectNameOf(storePath)) ?? [];
    try {
      const files = await pool.findWrongModes(record, tree, suspects);
      if (files.length === 0) continue;
      clearModes(tree, files);
      infos.push(await pool.verify(record, tree));
      leftOut.delete(storePath);
    } catch (error) {
      leave(leftOut, storePath, error);
    }
  }
  return infos;
}

/** Whether the object's bytes are there, and are not what they should be. */
function isMismatch(left: LeftOut | undefined): boolean {
  return left?.code === "store.mismatch";
}

/** The objects whose references are, or will be, all in the store. */
function withoutBroken(
  parts: StoreParts,
  verified: readonly ObjectInfo[],
  leftOut: Map<string, LeftOut>,
): ObjectInfo[] {
  const sound = new Map(verified.map((info) => [info.storePath, info]));
  const referrers = new Map<StorePath, ObjectInfo[]>();
  for (const info of verified) {
    for (const path of info.references) {
      const known = referrers.get(path);
      if (known === undefined) referrers.set(path, [info]);
      else known.push(info);
    }
  }
  const absent = [...referrers.keys()].filter(
    (path) => !sound.has(path) && !parts.objects.has(path),
  );
  // The list grows while it is walked: what refers to something absent is absent itself.
  for (const path of absent) {
    for (const { storePath } of referrers.get(path) ?? []) {
      if (!sound.delete(storePath)) continue;
      const message = `it refers to ${path}, which is not adopted`;
      leave(leftOut, storePath, new KilnError("store.missingReference", message));
      absent.push(storePath);
    }
  }
  return [...sound.values()];
}

function leave(leftOut: Map<string, LeftOut>, path: string, thrown: unknown): void {
  const { code, message } = KilnError.from(thrown);
  leftOut.set(path, { path, code, message });
}

/** All that zb knows, also of outputs that are gone: they count again when they return. */
function addRealizations(
  { database, log }: StoreParts,
  zb: ZbDatabase,
): Pick<AdoptReport, "realizations" | "droppedSignatures"> {
  const table = new RealizationTable(database);
  const now = Date.now();
  const result = { realizations: 0, droppedSignatures: 0 };
  for (const row of zb.realizations()) {
    try {
      const { realization, dropped } = withValidSignatures(realizationOf(row));
      table.add(realization, now);
      result.realizations++;
      result.droppedSignatures += dropped;
    } catch (error) {
      log("warn", `not adopted: realization ${row.path}: ${meaningless(error).message}`);
    }
  }
  return result;
}

/** @returns how many builds are new */
function addBuilds(
  { database, log }: StoreParts,
  zb: ZbDatabase,
  rows: readonly ZbObject[],
  { logSize = () => undefined }: AdoptOptions,
): number {
  const table = new BuildTable(database);
  const references = new Map(rows.map((row) => [row.path, row.references]));
  let builds = 0;
  for (const row of zb.builds()) {
    if (table.find(row.id) !== undefined) continue;
    try {
      const { build, results } = buildOf(row, {
        logSize,
        references: (drvPath) => references.get(drvPath) ?? [],
      });
      table.saveBuild(build);
      for (const result of results) table.saveResult(build.id, result);
      builds++;
    } catch (error) {
      log("warn", `not adopted: build ${row.id}: ${meaningless(error).message}`);
    }
  }
  return builds;
}

/** A row of zb's that cannot be understood costs itself; any other trouble costs the adoption. */
function meaningless(thrown: unknown): KilnError {
  const error = KilnError.from(thrown);
  if (error.code === "path.invalid" || error.code === "zb.hash") return error;
  throw error;
}
