/**
 * When objects were last used. Noting a use costs next to nothing: it is kept in memory, and written to the database now and then,
 * with others. What a crash loses of it is minutes.
 */
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { once } from "../util/keyed-mutex.ts";
import { Pacer } from "../util/pacer.ts";
import type { StoreDatabase } from "./database/open.ts";
import { integerIn } from "./database/row.ts";
import type { Log } from "./object-files.ts";

/** Milliseconds between two times of writing. */
const writePace = 60_000;

/** A row is this exact, in milliseconds: a later use that is nearer is not worth a write. */
const exactness = 10 * 60_000;

/** Rows that are looked at at once. */
const step = 5000;

/** Milliseconds by which a clock may be set back, as clocks are, without a word about it. */
const slack = 3_600_000;

/** How many rows are written at once. */
const batchSize = 500;

export class Usage implements Disposable {
  readonly #database: StoreDatabase;
  readonly #log: Log;
  readonly #clock: () => number;
  /** Uses that the database may not know of yet. */
  readonly #noted = new Map<StorePath, number>();
  /** When those began that want all that is used after their beginning to stay. */
  readonly #sessions = new Map<symbol, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(database: StoreDatabase, log: Log, clock: () => number = Date.now) {
    this.#database = database;
    this.#log = log;
    this.#clock = clock;
    this.#timer = setInterval(() => void this.#writeQuietly(), writePace).unref();
  }

  /** Somebody uses the object, which is registered, now. */
  note(path: StorePath): void {
    this.#noted.set(path, this.#clock());
  }

  /** They are no objects any more. */
  forget(paths: Iterable<StorePath>): void {
    for (const path of paths) this.#noted.delete(path);
  }

  /** The uses that are in memory. */
  noted(): readonly (readonly [path: StorePath, time: number])[] {
    return [...this.#noted];
  }

  /** When the object was last used or registered, in milliseconds since the Unix epoch; undefined when there is no such object. */
  lastUse(path: StorePath): number | undefined {
    const row = this.#database
      .prepare("select max(used_at, registered_at) as used_at from objects where path = ?")
      .get(path);
    if (row === undefined) return undefined;
    return Math.max(integerIn(row, "used_at"), this.#noted.get(path) ?? 0);
  }

  /** Has everything that is used from now on stay until the result is disposed of. */
  session(): Disposable {
    const id = Symbol("session");
    this.#sessions.set(id, this.#clock());
    return once(() => void this.#sessions.delete(id));
  }

  /** What was used at this time or later may not be collected now, however little is to be kept. */
  get floor(): number {
    const now = this.#clock();
    let floor = now;
    for (const began of this.#sessions.values()) {
      // The clock was set back since: nothing tells what was used before that beginning and what after it.
      floor = began > now ? 0 : Math.min(floor, began);
      if (floor === 0) break;
    }
    return floor;
  }

  /**
   * Takes uses of a time that is yet to come for uses of now: the clock was wrong then, and what was used would stay until that time
   * comes. Not while there are sessions, which need all times as they are. Never rejects.
   */
  async forgetFuture(): Promise<void> {
    if (this.#sessions.size > 0) return;
    const now = this.#clock();
    const future = now + slack;
    for (const [path, time] of this.#noted) if (time > future) this.#noted.set(path, now);
    const update = this.#database.prepare(
      `update objects set registered_at = min(registered_at, ?), used_at = min(used_at, ?)
       where id > ? and id <= ? and (registered_at > ? or used_at > ?)`,
    );
    const pacer = new Pacer();
    try {
      const last = this.#database.prepare("select coalesce(max(id), 0) as id from objects").get();
      const end = last === undefined ? 0 : integerIn(last, "id");
      for (let id = 0; id < end && this.#sessions.size === 0; id += step) {
        this.#database.lightly(() => update.run(now, now, id, id + step, future, future));
        await pacer.pause();
      }
    } catch (error) {
      this.#complain(error);
    }
  }

  /** Writes all that was noted, in small steps. */
  async write(): Promise<void> {
    const all = [...this.#noted];
    const pacer = new Pacer();
    for (let i = 0; i < all.length; i += batchSize) {
      this.#writeBatch(all.slice(i, i + batchSize));
      await pacer.pause();
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    try {
      this.#writeBatch([...this.#noted]);
    } catch (error) {
      this.#complain(error);
    }
  }

  #writeBatch(batch: readonly (readonly [StorePath, number])[]): void {
    if (batch.length === 0) return;
    const update = this.#database.prepare(
      "update objects set used_at = ? where path = ? and max(used_at, registered_at) < ?",
    );
    const now = this.#clock();
    this.#database.lightly(() => {
      for (const [path, time] of batch) update.run(time, path, time - exactness);
    });
    for (const [path, time] of batch) {
      // The newest are told from memory, exactly.
      if (this.#noted.get(path) === time && time < now - exactness) this.#noted.delete(path);
    }
  }

  async #writeQuietly(): Promise<void> {
    try {
      await this.write();
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    this.#log("warn", `cannot note the use of objects: ${KilnError.from(error).message}`);
  }
}
