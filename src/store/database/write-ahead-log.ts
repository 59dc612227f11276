/**
 * The slow work of a write-ahead log, off the event loop: making it durable (fsync in the thread pool), and moving what it holds
 * into the database file (a checkpoint, in a thread of its own). A commit that does both itself can take half a second while
 * the disk is busy with a large object.
 */
import { statSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { SharedRun } from "../../util/shared-run.ts";
import { databaseError } from "./error.ts";
import type { Connection } from "./open.ts";

/** A checkpoint is due after this many changed rows, each commit counting for a few more. It begins at the next pause; ... */
const checkpointAfter = 4000;
const commitCounts = 8;

/** ... or, where there is none, when so many rows have changed. */
const checkpointAtOnce = 12_000;

/** Milliseconds without a commit that are a pause. */
const pause = 200;

/**
 * SQLite begins the log anew only when all of it is in the database, which a checkpoint never gets to if somebody writes all the time. When
 * the log is larger than so many bytes, the rest is moved while everybody waits.
 */
const largeLog = 64 * 1024 * 1024;

/** The file of a log that is begun anew is cut to so many bytes. */
const keptLog = 32 * 1024 * 1024;

/** Plain JavaScript: a worker's file would have another name after the build. */
const program = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { DatabaseSync } = require("node:sqlite");
  parentPort.on("message", () => {
    try {
      // Open only while it works, so that the daemon's connection is the last one to be closed.
      const database = new DatabaseSync(workerData, { timeout: 0 });
      try {
        database.exec("pragma synchronous = full; pragma wal_checkpoint(passive)");
      } finally {
        database.close();
      }
    } catch {
      // The log grows until the next one.
    }
    parentPort.postMessage(null);
  });
`;

export class WriteAheadLog {
  readonly #path: string;
  readonly #sql: DatabaseSync;
  readonly #syncing: SharedRun;
  #file: FileHandle | undefined;
  #isClosed = false;
  readonly #inThread: boolean;
  readonly #totalChanges: StatementSync;
  #changes = 0;
  #commits = 0;
  #lastCommit = 0;
  /** Waits for a pause. */
  #waiting: NodeJS.Timeout | undefined;
  #worker: Worker | undefined;
  #checkpoint: Promise<void> | undefined;

  constructor({ path, sql, exclusive }: Connection) {
    this.#path = path;
    this.#sql = sql;
    this.#syncing = new SharedRun(async () => {
      const file = (this.#file ??= await open(`${path}-wal`, "r"));
      try {
        await file.sync();
      } finally {
        if (this.#isClosed) await file.close();
      }
    });
    this.#inThread = !exclusive;
    this.#totalChanges = sql.prepare("select total_changes() as n");
    if (this.#inThread) {
      sql.exec(`pragma wal_autocheckpoint = 0; pragma journal_size_limit = ${keptLog}`);
    }
  }

  /** Resolves when all that was committed before the call is on disk. */
  async sync(): Promise<void> {
    try {
      await this.#syncing.run();
    } catch (error) {
      throw databaseError(error, this.#path);
    }
  }

  /** To be called after each commit. */
  grew(): void {
    if (!this.#inThread) return;
    this.#commits++;
    this.#lastCommit = performance.now();
    this.#look();
  }

  /** Begins a checkpoint, or waits for a pause to begin it in, if one is due. */
  #look(): void {
    if (this.#checkpoint !== undefined || this.#isClosed) return;
    const growth = this.#rows() - this.#changes + this.#commits * commitCounts;
    if (growth >= checkpointAtOnce) this.#begin();
    else if (growth >= checkpointAfter) this.#waiting ??= this.#wait(pause);
  }

  #wait(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#waiting = undefined;
      const left = Math.ceil(this.#lastCommit + pause - performance.now());
      if (left > 0) this.#waiting = this.#wait(left);
      else this.#begin();
    }, milliseconds).unref();
  }

  /** Rows that were changed since the database was opened. */
  #rows(): number {
    return Number(this.#totalChanges.get()?.["n"]);
  }

  #begin(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    if (this.#checkpoint !== undefined) return;
    this.#changes = this.#rows();
    this.#commits = 0;
    this.#checkpoint = this.#runCheckpoint().finally(() => {
      this.#checkpoint = undefined;
      this.#look();
    });
  }

  /** Resolves when no checkpoint is running. */
  async settled(): Promise<void> {
    while (this.#checkpoint !== undefined) await this.#checkpoint;
  }

  /** Nothing may be running any more. */
  close(): void {
    clearTimeout(this.#waiting);
    void this.#worker?.terminate();
    this.#worker = undefined;
    this.#isClosed = true; // a sync may be under way
    void this.#file?.close();
    this.#file = undefined;
  }

  /** Never rejects: the log grows until the next one. */
  async #runCheckpoint(): Promise<void> {
    try {
      const worker = (this.#worker ??= this.#startWorker());
      await answerOf(worker);
      if (!this.#isClosed && statSync(`${this.#path}-wal`).size > largeLog) {
        this.#sql.exec("pragma wal_checkpoint(passive)");
      }
    } catch {
      // No thread can be had, or the disk is full.
    }
  }

  #startWorker(): Worker {
    const worker = new Worker(program, { eval: true, workerData: this.#path });
    worker.unref();
    const forget = (): void => {
      if (this.#worker === worker) this.#worker = undefined;
    };
    worker.on("error", forget).on("exit", forget);
    return worker;
  }
}

/** Has it make a checkpoint. Keeps the process alive meanwhile: whoever closes the database waits for it. */
async function answerOf(worker: Worker): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => resolve();
  worker.once("message", done).once("exit", done);
  worker.ref();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is a window's
  worker.postMessage(null);
  await promise;
  worker.unref();
  worker.off("message", done).off("exit", done);
}
