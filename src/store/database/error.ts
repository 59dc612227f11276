import { dirname } from "node:path";
import { spaceHint } from "../../files/file-error.ts";
import { freeBytes } from "../../files/free-bytes.ts";
import { KilnError } from "../../util/kiln-error.ts";

/** What SQLite or the file system threw, as a KilnError of kind `internal` with a code of its own. */
export function databaseError(thrown: unknown, path: string): KilnError {
  if (thrown instanceof KilnError) return thrown;
  const [code, text, hint] = explain(thrown, path);
  return new KilnError(code, `database ${path}: ${text}`, {
    kind: "internal",
    path,
    cause: thrown,
    ...(hint === undefined ? {} : { hint }),
  });
}

const full = ["disk.full", "the disk is full", spaceHint] as const;

/** The hint for a damaged database. */
export const restore =
  "restore the file from a backup, or make a new one of the objects, which are untouched: kiln store rebuild-db";

function explain(
  thrown: unknown,
  path: string,
): readonly [code: string, text: string, hint?: string] {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const { errcode, code } = (thrown ?? {}) as { errcode?: unknown; code?: unknown };
  if (code === "ENOSPC" || code === "EDQUOT") return full;
  if (code === "EROFS") return ["disk.readOnly", "the file system is read-only"];
  if (typeof errcode !== "number") return ["database.io", message];
  // The low byte of SQLite's extended code is the primary one: https://www.sqlite.org/rescode.html
  switch (errcode & 0xff) {
    case 5:
    case 6:
      return ["database.locked", "another program has locked it"];
    case 10:
      // SQLite does not tell why it could not have the memory that it shares by a file.
      if (isFull(path)) return full;
      return ["database.io", message];
    case 8:
      return ["database.readOnly", "it cannot be written"];
    case 11:
    case 26:
      return ["database.corrupt", `the file is damaged (${message})`, restore];
    case 13:
      return full;
    case 19:
      return ["database.constraint", message];
    default:
      return ["database.io", message];
  }
}

/** Whether not even one page of the index of a write-ahead log would fit. */
function isFull(path: string): boolean {
  try {
    return freeBytes(dirname(path)) < 32 * 1024;
  } catch {
    return false;
  }
}
