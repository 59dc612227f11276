import type { SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { databaseError } from "./error.ts";

/** A row as SQLite gives it: by column name. */
export type Row = Record<string, SQLOutputValue>;

/** A prepared statement whose failures are KilnErrors. It is reused: finish one iteration before starting the next. */
export class Statement {
  readonly #statement: StatementSync;
  readonly #path: string;

  constructor(statement: StatementSync, path: string) {
    this.#statement = statement;
    this.#path = path;
  }

  /** The first row. */
  get(...values: SQLInputValue[]): Row | undefined {
    try {
      return this.#statement.get(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** All rows. */
  all(...values: SQLInputValue[]): Row[] {
    try {
      return this.#statement.all(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** Row after row; no other use of this statement may come between. */
  *iterate(...values: SQLInputValue[]): Generator<Row, void, undefined> {
    try {
      yield* this.#statement.iterate(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** Runs a statement that gives no rows. */
  run(...values: SQLInputValue[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    try {
      return this.#statement.run(...values);
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }
}
