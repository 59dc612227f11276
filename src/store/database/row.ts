/** Columns of a row as values of the type they must have; anything else means a damaged database. */
import { Buffer } from "node:buffer";
import { KilnError } from "../../util/kiln-error.ts";
import type { Row } from "./open.ts";

/** @throws KilnError `database.corrupt` */
export function textIn(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw wrong(column, "text");
  return value;
}

/** @throws KilnError `database.corrupt` */
export function optionalTextIn(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : textIn(row, column);
}

/** @throws KilnError `database.corrupt` */
export function integerIn(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw wrong(column, "an integer");
  return value;
}

/** @throws KilnError `database.corrupt` */
export function optionalIntegerIn(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : integerIn(row, column);
}

/** @throws KilnError `database.corrupt` */
export function bytesIn(row: Row, column: string): Buffer {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw wrong(column, "bytes");
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function wrong(column: string, type: string): KilnError {
  return new KilnError("database.corrupt", `the database holds a ${column} that is not ${type}`, {
    kind: "internal",
  });
}
