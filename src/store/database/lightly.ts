import type { StoreDatabase } from "./open.ts";

/**
 * Runs `work` in a transaction that survives the end of this process but perhaps not a power failure, and costs no wait for the
 * disk: for records of what is going on.
 */
export function lightly<T>(
  database: StoreDatabase,
  work: () => T extends PromiseLike<unknown> ? never : T,
): T {
  const { sql } = database;
  // The level cannot be changed within a transaction; a part of another one is as durable as that one.
  const isPart = sql.isTransaction;
  const level = Number(sql.prepare("pragma synchronous").get()?.["synchronous"]);
  const isFull = !isPart && level > 1;
  if (isFull) sql.exec("pragma synchronous = normal");
  try {
    return database.transaction(work);
  } finally {
    if (isFull) sql.exec("pragma synchronous = full");
  }
}
