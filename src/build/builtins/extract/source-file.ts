/** The archive itself: a file in a store object. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { codeOf } from "../../../util/code-of.ts";
import { builderFault, quote } from "../fault.ts";

const reasons: ReadonlyMap<string | undefined, string> = new Map([
  ["ENOENT", "there is no such file"],
  ["ELOOP", "it is a symbolic link, and none is followed"],
  ["ENOTDIR", "something on the way is not a directory"],
]);

/** An opened regular file; the descriptor is closed when this is disposed of. */
export interface SourceFile extends Disposable {
  readonly fd: number;
  readonly size: number;
  /** The first bytes, at most `count`. */
  head(count: number): Buffer;
}

/**
 * Opens what lies at `sub` (elements joined by `/`, empty for the object itself) in the object whose files are at `object`. No
 * symlink is followed on the way, so that this cannot end outside of the object.
 *
 * @throws KilnError `extract.source`
 */
export function openSource(object: string, sub: string): SourceFile {
  const elements = sub === "" ? [] : sub.split("/");
  let fd = open(object, elements.length > 0, object);
  let path = object;
  for (const [i, element] of elements.entries()) {
    const above = fd;
    path = `${path}/${element}`;
    try {
      // Elsewhere than on Linux by name: an object is not written to any more.
      const place = process.platform === "linux" ? `/proc/self/fd/${above}/${element}` : path;
      fd = open(place, i < elements.length - 1, path);
    } finally {
      closeSync(above);
    }
  }
  return sourceFile(fd, path);
}

function sourceFile(fd: number, path: string): SourceFile {
  const status = fstatSync(fd);
  if (!status.isFile()) {
    closeSync(fd);
    throw unusable(path, "it is not a regular file");
  }
  return {
    fd,
    size: status.size,
    head(count: number): Buffer {
      const buffer = Buffer.alloc(count);
      // At a position: programs that inherit the descriptor begin to read at the start.
      return buffer.subarray(0, readSync(fd, buffer, 0, count, 0));
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function open(place: string, directory: boolean, path: string): number {
  // Without O_NONBLOCK, opening a fifo would wait for somebody to write to it.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    return openSync(place, directory ? flags | constants.O_DIRECTORY : flags);
  } catch (error) {
    const reason = reasons.get(codeOf(error));
    throw reason === undefined ? error : unusable(path, reason, error);
  }
}

function unusable(path: string, reason: string, cause?: unknown): Error {
  return builderFault("extract.source", `cannot read ${quote(path)}: ${reason}`, cause);
}
