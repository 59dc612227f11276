/** The rows of objects and of their references. Writing is part of a transaction of the caller's. */
import { parseContentAddress, printContentAddress } from "../../format/content-address.ts";
import { Hash } from "../../format/hash.ts";
import type { ObjectInfo } from "../../format/object-info.ts";
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { once } from "../../util/keyed-mutex.ts";
import type { Row, Statement, StoreDatabase } from "./open.ts";
import { bytesIn, integerIn, textIn } from "./row.ts";

/** How many paths {@link ObjectTable.list} reads at once. */
const pageSize = 1000;

/** How many objects are kept in mind, and the most references that one of them may have. */
const remembered = { objects: 4096, references: 64 };

/** What is known of an object, with its references in one column. */
const columns = `objects.path, nar_hash, nar_size, ca, (
    select json_group_array(path) from (
      select referents.path from object_references join objects as referents on referents.id = referent
      where referrer = objects.id order by referents.path)
  ) as reference_list`;

export class ObjectTable {
  readonly #database: StoreDatabase;
  readonly #has: Statement;
  readonly #get: Statement;
  /** Those asked for before, the oldest first: an object never changes, it only goes. */
  readonly #known = new Map<StorePath, ObjectInfo>();
  /** Paths whose rows may still be lost in a power failure: nobody is told of them yet. */
  readonly #hidden = new Set<StorePath>();

  constructor(database: StoreDatabase) {
    this.#database = database;
    this.#has = database.prepare("select 1 from objects where path = ?");
    this.#get = database.prepare(`select ${columns} from objects where path = ?`);
  }

  has(path: StorePath): boolean {
    return !this.#hidden.has(path) && this.#has.get(path) !== undefined;
  }

  /** Those of `paths` that are registered. */
  among(paths: readonly StorePath[]): ReadonlySet<StorePath> {
    const rows = this.#database
      .prepare("select value from json_each(?) join objects on objects.path = value")
      .all(JSON.stringify(paths));
    const found = new Set(rows.map((row) => textIn(row, "value")));
    return new Set(paths.filter((path) => found.has(path) && !this.#hidden.has(path)));
  }

  info(path: StorePath): ObjectInfo | undefined {
    if (this.#hidden.has(path)) return undefined;
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const row = this.#get.get(path);
    if (row === undefined) return undefined;
    const info = infoIn(row);
    this.#remember(info);
    return info;
  }

  /**
   * As {@link info}, for many at once, in the given order.
   *
   * @throws KilnError `store.missing`
   */
  infos(paths: readonly StorePath[]): ObjectInfo[] {
    const rows = this.#database
      .prepare(
        `select ${columns} from json_each(?) join objects on objects.path = value order by key`,
      )
      .all(JSON.stringify(paths));
    const infos = rows.map(infoIn);
    const absent = paths.find((path, i) => infos[i]?.storePath !== path || this.#hidden.has(path));
    if (absent !== undefined) throw notInStore(absent);
    return infos;
  }

  #remember(info: ObjectInfo): void {
    // What a transaction has written may be taken back.
    if (info.references.length > remembered.references || this.#database.sql.isTransaction) return;
    if (this.#known.size >= remembered.objects) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    }
    this.#known.set(info.storePath, info);
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

  /** Removes rows, with all that refer to them. Absent ones are skipped. */
  delete(paths: readonly StorePath[]): void {
    this.#database
      .prepare("delete from objects where path in (select value from json_each(?))")
      .run(JSON.stringify(paths));
    for (const path of paths) this.#known.delete(path);
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

function infoIn(row: Row): ObjectInfo {
  const references: string[] = JSON.parse(textIn(row, "reference_list"));
  return {
    storePath: parseStorePath(textIn(row, "path")),
    narHash: Hash.of("sha256", bytesIn(row, "nar_hash")),
    narSize: integerIn(row, "nar_size"),
    references: references.map(parseStorePath),
    ca: parseContentAddress(textIn(row, "ca")),
  };
}

export function notInStore(path: string): KilnError {
  return new KilnError("store.missing", `${path} is not in the store`, { path });
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
