/** Dying at a given moment, for tests of what a crash leaves. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { DatabaseSync, StatementSync } from "node:sqlite";

/**
 * Kills this process at its `last`-th step. A step is a call that changes something on disk: of `node:fs`, or of SQLite. What is
 * imported after this is counted.
 */
export function dieAtStep(last: number): void {
  let step = 0;
  const count = (): void => {
    if (++step === last) process.kill(process.pid, "SIGKILL");
  };
  const names = [
    "chmodSync",
    "chownSync",
    "fchmodSync",
    "fsyncSync",
    "futimesSync",
    "lchownSync",
    "linkSync",
    "lutimesSync",
    "mkdirSync",
    "mkdtempSync",
    "openSync",
    "renameSync",
    "rmSync",
    "rmdirSync",
    "symlinkSync",
    "unlinkSync",
    "utimesSync",
    "writeSync",
    "closeSync",
  ] as const;
  for (const name of names) countCalls(fs, name, count);
  countCalls(fs, "fsync", count);
  countCalls(DatabaseSync.prototype, "exec", count);
  countCalls(StatementSync.prototype, "run", count);
  syncBuiltinESMExports();
}

/** Dies before the call and, once it is done, after it. */
function countCalls<K extends string>(
  target: Record<K, (...args: never[]) => unknown>,
  name: K,
  count: () => void,
): void {
  const original = target[name];
  target[name] = function (this: unknown, ...args: never[]): unknown {
    count();
    return Reflect.apply(original, this, args);
  };
}
