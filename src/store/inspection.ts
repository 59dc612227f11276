/**
 * Looking for objects that are not what was registered, and putting them aside.
 *
 * Builds and imports go on meanwhile: an object is first looked at without its lock; what seems damaged then is looked at again with
 * it. Nothing is deleted: what is wrong is moved to `.kiln/quarantine`.
 */
import { readdirSync } from "node:fs";
import { errorCode } from "../files/file-error.ts";
import { freeze } from "../files/freeze.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { storePathFor, type StorePath } from "../format/store-path.ts";
import { hasCode, inOneLine, KilnError } from "../util/kiln-error.ts";
import { referrersFirst } from "./database/closure.ts";
import { isFaultOfObject, lastVerified, noteDamage, noteSound } from "./integrity.ts";
import { ownerOfObjects } from "./object-files.ts";
import type { StoreParts } from "./parts.ts";

export interface VerifyOptions {
  /** Only these; default all. */
  readonly paths?: readonly StorePath[] | undefined;
  /** Read every byte; default false: only of objects in which something was changed since they were last read. */
  readonly contents?: boolean | undefined;
  /** Only objects whose bytes were last read before this time, in milliseconds since the Unix epoch. */
  readonly before?: number | undefined;
  /** Mend modes, times and owners, and put aside what has other contents; default false. */
  readonly repair?: boolean | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
}

export interface VerifyProgress {
  readonly done: number;
  readonly total: number;
  /** Bytes of NARs that were read. */
  readonly bytes: number;
}

export interface Damage {
  readonly path: StorePath;
  /** `contents`: other bytes, names, links or executable marks; `metadata`: modes, times or owners. */
  readonly kind: "missing" | "contents" | "metadata" | "unreadable";
  /** For people. */
  readonly message: string;
  /** `repaired` is only metadata; the rest has to be made again. Null when no repair was asked for. */
  readonly repair: "repaired" | "quarantined" | "failed" | null;
  /** Why it could not be repaired. */
  readonly failure?: string | undefined;
}

export interface Verified {
  readonly checked: number;
  readonly bytes: number;
  /** What objects refer to comes before them. */
  readonly damaged: readonly Damage[];
  /** Names in the store directory that are no objects, at most {@link mostForeign}. They are left alone. */
  readonly foreign: readonly string[];
}

const mostForeign = 1000;

/** Objects that are looked at together. */
const batchSize = 32;

/**
 * @throws KilnError `store.missing` when one of `paths` is not registered; the signal's reason; `process.…` when this process may not
 * open or hold as much as it takes
 */
export async function verifyObjects(
  parts: StoreParts,
  options: VerifyOptions = {},
): Promise<Verified> {
  const { signal, before = Infinity } = options;
  const paths = options.paths ?? [...parts.objects.list()];
  for (const path of options.paths ?? []) {
    if (!parts.objects.has(path)) {
      throw new KilnError("store.missing", `${path} is not in the store`, { path });
    }
  }
  const wanted = paths.filter((path) => (parts.objects.verifiedAt(path) ?? 0) < before);
  const found = new Map<StorePath, Damage>();
  let bytes = 0;
  for (let at = 0; at < wanted.length; at += batchSize) {
    signal?.throwIfAborted();
    const batch = wanted.slice(at, at + batchSize);
    const looks = await Promise.all(
      batch.map(async (path) => await verifyOne(parts, path, options)),
    );
    for (const [i, look] of looks.entries()) {
      const path = batch[i];
      bytes += look.bytes;
      if (path !== undefined && look.damage !== undefined) found.set(path, look.damage);
    }
    options.onProgress?.({
      done: Math.min(at + batchSize, wanted.length),
      total: wanted.length,
      bytes,
    });
  }
  const registered = parts.objects.among([...found.keys()]);
  const order = (await referrersFirst(parts.database, registered)).toReversed();
  return {
    checked: wanted.length,
    bytes,
    damaged: order.map((path) => found.get(path)).filter((damage) => damage !== undefined),
    foreign: options.paths === undefined ? foreignNames(parts) : [],
  };
}

interface Look {
  readonly damage: Damage | undefined;
  /** That were read. */
  readonly bytes: number;
}

async function verifyOne(
  parts: StoreParts,
  path: StorePath,
  options: VerifyOptions,
): Promise<Look> {
  const first = await look(parts, path, options);
  if (first.damage === undefined) return first;
  // It may have been put in place, or removed, while it was looked at.
  using _lock = await parts.locks.lock(path, options.signal);
  const second = await look(parts, path, options);
  const bytes = first.bytes + second.bytes;
  const { damage } = second;
  const info = parts.objects.info(path);
  if (damage === undefined || info === undefined) return { damage: undefined, bytes };
  if (damage.kind !== "metadata") noteDamage(parts, info);
  if (options.repair !== true) return { damage, bytes };
  return { damage: await mend(parts, info, damage), bytes };
}

async function look(
  parts: StoreParts,
  path: StorePath,
  { contents = false }: VerifyOptions,
): Promise<Look> {
  const info = parts.objects.info(path);
  if (info === undefined) return { damage: undefined, bytes: 0 };
  const tree = parts.files.pathOf(path);
  const damage = (kind: Damage["kind"], message: string, bytes = 0): Look => ({
    damage: { path, kind, message, repair: null },
    bytes,
  });
  try {
    const start = Date.now();
    const { owner } = ownerOfObjects();
    const { changedAt, unfrozen } = await parts.hashing.state(info, tree, owner);
    if (changedAt === undefined) return damage("missing", `there is nothing at ${tree}`);
    let bytes = 0;
    if (contents || changedAt > lastVerified(parts, path)) {
      const { narHash, narSize } = await parts.hashing.hash(info, tree);
      bytes = narSize;
      if (narSize !== info.narSize || !narHash.equals(info.narHash)) {
        const what = `${narHash.base32()} (${narSize} bytes)`;
        const wanted = `${info.narHash.base32()} (${info.narSize} bytes)`;
        return damage("contents", `its NAR hash is ${what}, not ${wanted}`, bytes);
      }
      noteSound(parts, path, start);
    }
    return unfrozen === undefined
      ? { damage: undefined, bytes }
      : damage("metadata", unfrozen, bytes);
  } catch (error) {
    if (hasCode(error, "file.missing")) return damage("missing", `there is nothing at ${tree}`);
    if (hasCode(error, "file.type")) return damage("contents", error.message);
    if (!isFaultOfObject(error)) throw error;
    return damage("unreadable", KilnError.from(error).message);
  }
}

/** The caller holds the object's lock. */
async function mend(parts: StoreParts, info: ObjectInfo, damage: Damage): Promise<Damage> {
  const { storePath } = info;
  try {
    if (damage.kind === "missing") return damage;
    if (damage.kind === "metadata") {
      const tree = parts.files.pathOf(storePath);
      const entries = await freeze(tree, ownerOfObjects());
      await parts.syncer.trees([{ tree, entries }]);
      noteSound(parts, storePath, Date.now() + 1);
      parts.log("info", `repaired ${storePath}: ${damage.message}`);
      return { ...damage, repair: "repaired" };
    }
    const place = parts.files.quarantine(storePath);
    await parts.syncer.names();
    parts.log("warn", `moved ${storePath}, which is damaged, to ${place}`);
    return { ...damage, repair: "quarantined" };
  } catch (error) {
    return { ...damage, repair: "failed", failure: inOneLine(error) };
  }
}

function foreignNames(parts: StoreParts): string[] {
  const foreign: string[] = [];
  for (const name of readdirSync(parts.files.root)) {
    if (foreign.length >= mostForeign) break;
    if (name === ".kiln") continue;
    if (!isOwn(parts, name)) foreign.push(name);
  }
  return foreign.toSorted();
}

function isOwn(parts: StoreParts, name: string): boolean {
  try {
    const path = storePathFor(parts.directory, name);
    // What is locked is just being made.
    return parts.objects.has(path) || parts.locks.isLocked(path);
  } catch (error) {
    if (errorCode(error) === undefined) return false;
    throw error;
  }
}
