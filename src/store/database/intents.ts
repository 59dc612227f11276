/** Names that Kiln is putting into, or taking out of, the store directory. Writing is part of a transaction of the caller's. */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import type { StoreDatabase } from "./open.ts";
import { optionalTextIn, textIn } from "./row.ts";

export interface Intent {
  readonly path: StorePath;
  /** Inode number of what Kiln puts there; undefined when anything found there is Kiln's (a builder wrote it). */
  readonly inode: bigint | undefined;
}

export class IntentTable {
  readonly #database: StoreDatabase;
  /** Those that have served their purpose, but could not be cleared. */
  readonly #late = new Set<StorePath>();

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  /** Records intents; one for the same path is replaced. */
  record(intents: readonly Intent[]): void {
    this.#clearLate();
    for (const { path } of intents) this.#late.delete(path);
    const rows = intents.map(({ path, inode }) => [path, inode?.toString() ?? null]);
    this.#database
      .prepare(
        `insert or replace into intents (path, inode, created_at)
         select value ->> 0, value ->> 1, ? from json_each(?)`,
      )
      .run(Date.now(), JSON.stringify(rows));
  }

  /** @returns how many there were */
  clear(paths: Iterable<StorePath>): number {
    const list = [...paths];
    if (list.length === 0) return 0;
    const { changes } = this.#database
      .prepare("delete from intents where path in (select value from json_each(?))")
      .run(JSON.stringify(list));
    return Number(changes);
  }

  /** Has them cleared when intents are next recorded: for when nothing can be written now. */
  clearLater(paths: Iterable<StorePath>): void {
    for (const path of paths) this.#late.add(path);
  }

  /** The transaction may fail yet: only what is found cleared is done with. */
  #clearLate(): void {
    if (this.clear(this.#late) === 0) this.#late.clear();
  }

  /** All that are recorded. */
  open(): Intent[] {
    const rows = this.#database.prepare("select path, inode from intents order by path").all();
    return rows.map((row) => {
      const inode = optionalTextIn(row, "inode");
      return {
        path: parseStorePath(textIn(row, "path")),
        inode: inode === undefined ? undefined : BigInt(inode),
      };
    });
  }
}
