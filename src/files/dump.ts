/** From disk to NAR. */
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from "node:fs";
import type { Stats } from "node:fs";
import { createHash } from "node:crypto";
import { isUtf8 } from "node:buffer";
import { Hash } from "../format/hash.ts";
import { maxFileSize } from "../format/nar/limits.ts";
import { NarWriter } from "../format/nar/writer.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { EntryType, OpenFile } from "./directory.ts";
import { attempt } from "./file-error.ts";
import { inSlices } from "./slices.ts";
import { walk, type WalkStep } from "./walk.ts";

export interface DumpOptions {
  /**
   * Whether an entry is part of the NAR. `path` is relative to the root, with `/` between the names. The root is not asked about,
   * nor is what lies in a directory that was left out.
   */
  readonly filter?: (entry: { readonly path: string; readonly type: EntryType }) => boolean;
  /** Whether a file counts as executable although it need not be so on disk; `path` is as for {@link filter}, "" for the root. */
  readonly executable?: (path: string, isExecutable: boolean) => boolean;
  /** The most bytes that a path in the tree, counted from the tree's root, may have; default: any number. */
  readonly longestPath?: number;
  /** About how long the chunks are, in bytes; default 128 KiB. */
  readonly chunkSize?: number;
  /** Where small pieces are gathered, of 8 KiB or more, instead of in new buffers. A chunk may then change when the next is asked for. */
  readonly scratch?: Buffer;
  /** Gives memory to read a large file into: for so many bytes, at most `chunkSize`. Default new memory. */
  readonly allocate?: (size: number) => Buffer;
  readonly companion?: DumpCompanion | undefined;
}

/** Does something with the entries of a tree while they are open anyway. */
export interface DumpCompanion {
  /** Gets the first bytes of each file that is not empty. */
  begin(file: OpenFile, bytes: Buffer): void;
  /** Gets each file when all of it was read. */
  end(file: OpenFile): void;
  /** Gets all other steps of the walk; a tree that is a single file has none. */
  take(step: WalkStep): void;
}

/** Without waiting for data (O_NONBLOCK): a file may have become a fifo since its directory was listed. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The NAR of the tree at `path`, which may be a single file or symlink. A file with any execute bit is executable. Links are
 * never followed. It reads as chunks are asked for; the chunks are the caller's to keep.
 *
 * @throws KilnError `file.type` for anything but files, directories and symlinks, `file.changed` for a file that changes while it is
 *   read, `file.pathTooLong`, `nar.name` for a name that is not UTF-8, or another `file.…` or `disk.…`
 */
export function* dumpNar(path: string, options: DumpOptions = {}): Generator<Buffer, void, void> {
  const { chunkSize = 128 * 1024, scratch, filter, executable, longestPath = Infinity } = options;
  const { allocate = (size) => Buffer.allocUnsafeSlow(size), companion } = options;
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk), { chunkSize, scratch });
  const root = openFile(path);
  if (root !== undefined) {
    using file = root;
    yield* dumpFile(file, {
      name: "",
      writer,
      chunks,
      chunkSize,
      allocate,
      companion,
      executable: (is) => executable?.("", is) ?? is,
    });
    writer.end();
    yield* chunks;
    return;
  }
  const names: string[] = [];
  /** Bytes of the names, each with its slash, but for the root's. */
  let length = 0;
  const steps = walk(path, {
    sorted: true,
    ...(filter && {
      filter: (entry) => {
        const relative = [...names.slice(1), Buffer.from(entry.latin1, "latin1").toString()];
        return filter({ path: relative.join("/"), type: entry.type });
      },
    }),
  });
  for (const step of steps) {
    const ownLength = step.depth === 0 ? 0 : step.latin1.length + 1;
    if (step.type === "leave") length -= ownLength;
    else if (length + ownLength > longestPath) throw tooLong(step, longestPath);
    if (step.type !== "file") companion?.take(step);
    switch (step.type) {
      case "enter":
        length += ownLength;
        names.push(entryName(step));
        writer.directory(entryName(step));
        break;
      case "leave":
        names.pop();
        writer.endDirectory();
        break;
      case "symlink":
        writer.symlink(entryName(step), readLink(step));
        break;
      case "file": {
        const entry = entryName(step);
        const isExecutable = (is: boolean): boolean =>
          executable?.([...names, entry].slice(1).join("/"), is) ?? is;
        using file = openEntry(step);
        yield* dumpFile(file, {
          name: entry,
          writer,
          chunks,
          chunkSize,
          allocate,
          companion,
          executable: isExecutable,
        });
        break;
      }
      case "other":
        throw badType(step);
    }
    yield* chunks.splice(0);
  }
  writer.end();
  yield* chunks;
}

/** SHA-256 and size of the NAR of the tree at `path`. Does not hold up the event loop for long. */
export async function hashTree(path: string): Promise<{ narHash: Hash; narSize: number }> {
  const hash = createHash("sha256");
  let narSize = 0;
  await inSlices(dumpNar(path), (chunk) => {
    hash.update(chunk);
    narSize += chunk.length;
  });
  return { narHash: Hash.of("sha256", hash.digest()), narSize };
}

/** Files up to this size are read with one call, into a buffer that all of them share. */
const smallFile = 32 * 1024 - 1;

/** What is in it is used at once. */
const small = Buffer.allocUnsafeSlow(smallFile + 1);

/** The file at `path`, most often what an object is; undefined when it is something else, or cannot be opened. */
function openFile(path: string): (OpenFile & Disposable) | undefined {
  let fd: number;
  try {
    fd = openSync(path, readFlags);
  } catch {
    return undefined; // the walk finds out what it is
  }
  const stats = fstatSync(fd);
  if (stats.isFile()) return held(fd, stats, () => path);
  closeSync(fd);
  return undefined;
}

function openEntry(step: WalkStep): OpenFile & Disposable {
  const path = (): string => step.parent.pathOf(step.name);
  const fd = attempt("open", path, () => openSync(step.parent.at(step.name), readFlags));
  const stats = fstatSync(fd);
  if (stats.isFile()) return held(fd, stats, path);
  closeSync(fd);
  throw badType(step);
}

function held(fd: number, stats: Stats, path: () => string): OpenFile & Disposable {
  return { fd, stats, path, [Symbol.dispose]: () => closeSync(fd) };
}

interface FileDump {
  /** In the NAR. */
  readonly name: string;
  readonly writer: NarWriter;
  /** What the writer has emitted. */
  readonly chunks: Buffer[];
  readonly chunkSize: number;
  readonly allocate: (size: number) => Buffer;
  readonly companion: DumpCompanion | undefined;
  readonly executable: (isExecutable: boolean) => boolean;
}

function* dumpFile(
  file: OpenFile,
  { name, writer, chunks, chunkSize, allocate, companion, executable }: FileDump,
): Generator<Buffer, void, void> {
  const { fd, stats, path } = file;
  if (stats.size > maxFileSize) throw new KilnError("nar.size", `${path()} is too large`);
  writer.file(name, executable((stats.mode & 0o111) !== 0), stats.size);
  let missing = stats.size;
  while (missing > 0) {
    // One byte more than there should be would be noticed.
    const buffer = stats.size <= smallFile ? small : allocate(Math.min(missing, chunkSize));
    const length = attempt("read", path, () => readSync(fd, buffer, 0, buffer.length, null));
    if (length === 0 || length > missing) throw changed(path());
    if (missing === stats.size) companion?.begin(file, buffer.subarray(0, length));
    missing -= length;
    writer.data(buffer.subarray(0, length));
    yield* chunks.splice(0);
  }
  if (stats.size > smallFile && readSync(fd, small, 0, 1, null) > 0) throw changed(path());
  companion?.end(file);
  writer.endFile();
}

function readLink(step: WalkStep): Buffer {
  const path = (): string => step.parent.pathOf(step.name);
  return attempt("read", path, () => readlinkSync(step.parent.at(step.name), "buffer"));
}

/** The name in the NAR: none for the root. */
function entryName({ depth, latin1, parent, name }: WalkStep): string {
  if (depth === 0) return "";
  if (typeof name === "string") return name;
  if (isUtf8(name)) return name.toString();
  const shown = JSON.stringify(latin1);
  throw new KilnError("nar.name", `the name ${shown} in ${parent.path} is not UTF-8`, {
    path: parent.path,
  });
}

function badType(step: WalkStep): KilnError {
  const path = step.parent.pathOf(step.name);
  return new KilnError("file.type", `${path} is neither a file nor a directory nor a symlink`, {
    path,
  });
}

function tooLong({ parent }: WalkStep, longest: number): KilnError {
  const message = `a path of more than ${longest} bytes in ${parent.path.slice(0, 200)}…`;
  return new KilnError("file.pathTooLong", message);
}

function changed(path: string): KilnError {
  return new KilnError("file.changed", `${path} changed while it was read`, { path });
}
