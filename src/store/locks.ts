/**
 * One process owns a store. The lock is an exclusive transaction on a small database inside the store, held for life: the kernel
 * frees it however the process ends, so that a lock is never stale. The holder's process id lies beside it, for the one who is
 * refused to read; it decides nothing.
 *
 * POSIX locks vanish when the process closes any descriptor of the file: nothing but SQLite may open the lock file here.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../util/kiln-error.ts";
import { databaseError } from "./database/open.ts";

export interface LockWait {
  readonly signal?: AbortSignal;
  /** Called when the wait begins and when another process has become the holder; undefined when its id is not known. */
  readonly onWait?: (pid: number | undefined) => void;
}

/** How often a waiting process tries again, in milliseconds. */
const retryInterval = 50;

export class StoreLock implements Disposable {
  readonly #connection: DatabaseSync;
  readonly #pidFile: string;

  private constructor(connection: DatabaseSync, pidFile: string) {
    this.#connection = connection;
    this.#pidFile = pidFile;
  }

  /**
   * Takes the lock kept in `file`; `store` is what it guards, for messages.
   *
   * @throws KilnError `store.locked` when another process holds it and `wait` is not given; the signal's reason
   */
  static async acquire(file: string, store: string, wait?: LockWait): Promise<StoreLock> {
    const pidFile = `${file}.pid`;
    let known: number | undefined | null = null;
    for (;;) {
      wait?.signal?.throwIfAborted();
      const connection = tryLock(file);
      if (connection !== undefined) {
        writePid(pidFile);
        return new StoreLock(connection, pidFile);
      }
      const pid = readPid(pidFile);
      if (wait === undefined) throw locked(store, pid);
      if (pid !== known) wait.onWait?.(pid);
      known = pid;
      await delay(
        retryInterval,
        undefined,
        wait.signal === undefined ? {} : { signal: wait.signal },
      );
    }
  }

  /** Gives the lock back; a second call does nothing. */
  release(): void {
    if (!this.#connection.isOpen) return;
    // Before the lock goes: afterwards the file may be the next holder's.
    try {
      rmSync(this.#pidFile, { force: true });
    } catch {
      // A read-only disk keeps it, and it decides nothing.
    }
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A connection that holds the lock, or undefined when somebody else does. */
function tryLock(file: string): DatabaseSync | undefined {
  let connection: DatabaseSync | undefined;
  try {
    connection = new DatabaseSync(file, { timeout: 0 });
    // A journal beside the file would need space that a full disk has not, and nothing is ever written.
    connection.exec("pragma journal_mode = memory; begin exclusive");
    return connection;
  } catch (error) {
    if (connection?.isOpen === true) connection.close();
    const failure = databaseError(error, file);
    if (failure.code === "database.locked") return undefined;
    throw failure;
  }
}

function writePid(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`, { mode: 0o600 });
  } catch {
    // A full disk: the lock holds without it.
  }
}

function readPid(file: string): number | undefined {
  try {
    const text = readFileSync(file, "utf8").trim();
    return /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

function locked(store: string, pid: number | undefined): KilnError {
  const holder = pid === undefined ? "another process" : `process ${pid}`;
  const isOwn = pid === process.pid;
  const who = isOwn ? "already open in this process" : `in use by ${holder}`;
  return new KilnError("store.locked", `the store ${store} is ${who}`, {
    kind: "internal",
    path: store,
    hint: isOwn
      ? "one Server at a time owns a store: share it, or close it first"
      : "one process at a time owns a store: talk to the running daemon through its socket, or stop it",
  });
}
