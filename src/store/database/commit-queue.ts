import type { StoreDatabase } from "./open.ts";

interface Entry {
  readonly work: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes the cost of a durable commit, a wait for the disk, one for all who come in the same moment.
 */
export class CommitQueue {
  readonly #database: StoreDatabase;
  #queue: Entry[] = [];

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  /**
   * Runs `work`, which is synchronous, in a transaction soon and resolves when that is durable. When it throws, only its own
   * changes are lost. The order of calls is kept.
   */
  durably(work: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ work, resolve, reject });
      if (this.#queue.length === 1) setImmediate(() => this.flush());
    });
  }

  /** Runs everything that waits now. */
  flush(): void {
    const entries = this.#queue;
    if (entries.length === 0) return;
    this.#queue = [];
    const failed = new Map<Entry, unknown>();
    try {
      this.#database.transaction(() => {
        for (const entry of entries) {
          try {
            this.#database.transaction(entry.work);
          } catch (error) {
            failed.set(entry, error);
          }
        }
      });
    } catch (error) {
      for (const entry of entries) entry.reject(failed.get(entry) ?? error);
      return;
    }
    for (const entry of entries) {
      if (failed.has(entry)) entry.reject(failed.get(entry));
      else entry.resolve();
    }
  }

  /**
   * Runs `work` in a transaction of its own that survives the end of this process but perhaps not a power failure: for
   * records of what is going on. What waits for a durable commit goes first.
   */
  lightly<T>(work: () => T extends PromiseLike<unknown> ? never : T): T {
    this.flush();
    const { sql } = this.#database;
    if (sql.isTransaction) return this.#database.transaction(work);
    const level = Number(sql.prepare("pragma synchronous").get()?.["synchronous"]);
    const full = level > 1;
    if (full) sql.exec("pragma synchronous = normal");
    try {
      return this.#database.transaction(work);
    } finally {
      if (full) sql.exec("pragma synchronous = full");
    }
  }
}
