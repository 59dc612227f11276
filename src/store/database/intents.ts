/** Names that Kiln is putting into, or taking out of, the store directory. Writing is part of a transaction of the caller's. */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import type { StoreDatabase } from "./open.ts";
import { integerIn, optionalTextIn, textIn } from "./row.ts";

export interface Intent {
  readonly path: StorePath;
  /** Inode number of what Kiln puts there; undefined when it is made there: then what came after the intent is Kiln's. */
  readonly inode: bigint | undefined;
  /** Whether it also stands for all objects of this name, whatever their digest, that a build makes; default false. */
  readonly foretells?: boolean;
}

/** An intent that is found when a store is opened. */
export interface OpenIntent extends Intent {
  readonly foretells: boolean;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
}

/** Intents that have served their purpose, each as it did last. */
export type Served = ReadonlyMap<StorePath, symbol>;

export class IntentTable {
  readonly #database: StoreDatabase;
  readonly #served = new Map<StorePath, symbol>();

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  /** Records intents; one for the same path is replaced. */
  record(intents: readonly Intent[]): void {
    for (const { path } of intents) this.#served.delete(path);
    const rows = intents.map(({ path, inode, foretells = false }) => [
      path,
      inode?.toString() ?? null,
      Number(foretells),
    ]);
    this.#database
      .prepare(
        `insert or replace into intents (path, inode, foretells, created_at)
         select value ->> 0, value ->> 1, value ->> 2, ? from json_each(?)`,
      )
      .run(Date.now(), JSON.stringify(rows));
  }

  clear(paths: Iterable<StorePath>): void {
    const list = [...paths];
    if (list.length === 0) return;
    this.#database
      .prepare("delete from intents where path in (select value from json_each(?))")
      .run(JSON.stringify(list));
  }

  /**
   * Notes that these have served their purpose: what they were for is an object, or is not in the store directory any more. The disk may
   * not know yet, so they stay until somebody who has the directory synced anyway takes them along: see {@link served}.
   */
  serve(paths: Iterable<StorePath>): void {
    for (const path of paths) this.#served.set(path, Symbol(path));
  }

  /** Those that have served their purpose by now. Who then syncs the directory may clear them by {@link clearServed}. */
  served(): Served {
    return new Map(this.#served);
  }

  /** Clears them, but for those that were recorded again meanwhile. */
  clearServed(served: Served): void {
    this.clear(this.#still(served));
  }

  /** Clearing them has succeeded. */
  forget(served: Served): void {
    for (const path of this.#still(served)) this.#served.delete(path);
  }

  #still(served: Served): StorePath[] {
    return [...served]
      .filter(([path, time]) => this.#served.get(path) === time)
      .map(([path]) => path);
  }

  /** All that are recorded. */
  open(): OpenIntent[] {
    const rows = this.#database.prepare("select * from intents order by path").all();
    return rows.map((row) => {
      const inode = optionalTextIn(row, "inode");
      return {
        path: parseStorePath(textIn(row, "path")),
        inode: inode === undefined ? undefined : BigInt(inode),
        foretells: integerIn(row, "foretells") === 1,
        createdAt: integerIn(row, "created_at"),
      };
    });
  }
}
