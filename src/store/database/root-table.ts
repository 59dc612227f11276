/** The rows of garbage-collection roots. Writing is part of a transaction of the caller's, or one of its own. */
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import type { StoreDatabase } from "./open.ts";
import { integerIn, optionalTextIn, textIn } from "./row.ts";

/** Something that keeps an object, and all that it refers to, from being collected. */
export interface Root {
  /** A name that somebody gave, or the absolute path of a link. */
  readonly name: string;
  /** `link`: counts for as long as the link is there and points at an object. */
  readonly kind: "name" | "link";
  readonly target: StorePath;
  /** Who made it, where that is known. */
  readonly user: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
}

export class RootTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  /** Sorted by name. */
  list(): Root[] {
    const rows = this.#database
      .prepare("select name, kind, target, user, created_at from roots order by name")
      .all();
    return rows.map((row) => ({
      name: textIn(row, "name"),
      kind: textIn(row, "kind") === "link" ? "link" : "name",
      target: parseStorePath(textIn(row, "target")),
      user: optionalTextIn(row, "user"),
      createdAt: integerIn(row, "created_at"),
    }));
  }

  /** Adds a root, or replaces the one with its name. */
  put({ name, kind, target, user, createdAt }: Root): void {
    this.#database
      .prepare(
        "insert or replace into roots (name, kind, target, user, created_at) values (?, ?, ?, ?, ?)",
      )
      .run(name, kind, target, user ?? null, createdAt);
  }

  /** Whether there was one. */
  remove(name: string): boolean {
    return this.#database.prepare("delete from roots where name = ?").run(name).changes !== 0;
  }

  /** Whether the object itself is a root; what it refers to is not asked. */
  has(target: StorePath): boolean {
    return (
      this.#database.prepare("select 1 from roots where target = ? limit 1").get(target) !==
      undefined
    );
  }
}
