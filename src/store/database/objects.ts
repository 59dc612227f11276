/** The rows of objects and of their references. Writing is part of a transaction of the caller's. */
import { parseContentAddress, printContentAddress } from "../../format/content-address.ts";
import { Hash } from "../../format/hash.ts";
import type { ObjectInfo } from "../../format/object-info.ts";
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { once } from "../../util/keyed-mutex.ts";
import type { Statement, StoreDatabase } from "./open.ts";
import { bytesIn, integerIn, textIn } from "./row.ts";

/** How many paths {@link ObjectTable.list} reads at once. */
const pageSize = 1000;

export class ObjectTable {
  readonly #database: StoreDatabase;
  readonly #has: Statement;
  readonly #get: Statement;
  readonly #references: Statement;
  /** Paths whose rows may still be lost in a power failure: nobody is told of them yet. */
  readonly #hidden = new Set<StorePath>();

  constructor(database: StoreDatabase) {
    this.#database = database;
    this.#has = database.prepare("select 1 from objects where path = ?");
    this.#get = database.prepare("select id, nar_hash, nar_size, ca from objects where path = ?");
    this.#references = database.prepare(
      `select objects.path from object_references join objects on objects.id = referent
       where referrer = ? order by objects.path`,
    );
  }

  has(path: StorePath): boolean {
    return !this.#hidden.has(path) && this.#has.get(path) !== undefined;
  }

  info(path: StorePath): ObjectInfo | undefined {
    if (this.#hidden.has(path)) return undefined;
    const row = this.#get.get(path);
    if (row === undefined) return undefined;
    const references = this.#references.all(integerIn(row, "id"));
    return {
      storePath: path,
      narHash: Hash.of("sha256", bytesIn(row, "nar_hash")),
      narSize: integerIn(row, "nar_size"),
      references: references.map((reference) => parseStorePath(textIn(reference, "path"))),
      ca: parseContentAddress(textIn(row, "ca")),
    };
  }

  /** Keeps `has` and `info` from telling of new objects until the result is disposed of: what they confirm must be durable. */
  hide(paths: Iterable<StorePath>): Disposable {
    const hidden = [...paths];
    for (const path of hidden) this.#hidden.add(path);
    return once(() => {
      for (const path of hidden) this.#hidden.delete(path);
    });
  }

  /**
   * Adds objects; they may refer to each other in any order. `verifiedAt` is the time (milliseconds since the Unix epoch) at
   * which their bytes on disk were right.
   *
   * @throws KilnError `store.missingReference` when a reference is not registered
   */
  insert(infos: readonly ObjectInfo[], verifiedAt: number): void {
    const insert = this.#database.prepare(
      `insert into objects (path, nar_hash, nar_size, ca, registered_at, verified_at)
       values (?, ?, ?, ?, ?, ?)`,
    );
    const refer = this.#database.prepare(
      `insert into object_references (referrer, referent)
       select ?, id from objects where path = ?`,
    );
    const ids = infos.map((info) => {
      if (info.ca === undefined || info.narHash.type !== "sha256") {
        throw notContentAddressed(info.storePath);
      }
      const { storePath, narHash, narSize, ca } = info;
      const added = insert.run(
        storePath,
        narHash.bytes,
        narSize,
        printContentAddress(ca),
        verifiedAt,
        verifiedAt,
      );
      return added.lastInsertRowid;
    });
    for (const [i, info] of infos.entries()) {
      for (const reference of new Set(info.references)) {
        if (refer.run(ids[i] ?? null, reference).changes === 0) {
          throw missingReference(info.storePath, reference);
        }
      }
    }
  }

  /** Removes rows, which must come referrers first. Absent ones are skipped. */
  delete(paths: Iterable<StorePath>): void {
    const remove = this.#database.prepare("delete from objects where path = ?");
    for (const path of paths) remove.run(path);
  }

  /**
   * When the bytes on disk were last known to be right: milliseconds since the Unix epoch, 0 when they were found to be wrong,
   * undefined when there is no such object.
   */
  verifiedAt(path: StorePath): number | undefined {
    const row = this.#database.prepare("select verified_at from objects where path = ?").get(path);
    return row === undefined ? undefined : integerIn(row, "verified_at");
  }

  setVerifiedAt(path: StorePath, time: number): void {
    this.#database.prepare("update objects set verified_at = ? where path = ?").run(time, path);
  }

  /** All paths in order. Objects that come and go meanwhile may or may not be seen; nothing is held between two paths. */
  *list(): Generator<StorePath, void, undefined> {
    const page = this.#database.prepare(
      `select path from objects where path > ? order by path limit ${pageSize}`,
    );
    let last = "";
    for (;;) {
      const rows = page.all(last);
      for (const row of rows) yield parseStorePath(textIn(row, "path"));
      const end = rows.at(-1);
      if (end === undefined || rows.length < pageSize) return;
      last = textIn(end, "path");
    }
  }

  /** The objects that refer to `path`, without itself, in order. */
  referrers(path: StorePath): StorePath[] {
    const rows = this.#database
      .prepare(
        `select referrers.path from objects
         join object_references on referent = objects.id
         join objects as referrers on referrers.id = referrer
         where objects.path = ? and referrer <> referent order by referrers.path`,
      )
      .all(path);
    return rows.map((row) => parseStorePath(textIn(row, "path")));
  }
}

export function missingReference(path: StorePath, reference: string): KilnError {
  return new KilnError(
    "store.missingReference",
    `${path} refers to ${reference}, which is not in the store`,
    {
      path,
    },
  );
}

export function notContentAddressed(path: StorePath): KilnError {
  return new KilnError("store.notContentAddressed", `${path} has no content address`, { path });
}
