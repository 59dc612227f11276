/** Unpacks zip archives, by their central directory. */
import { isUtf8 } from "node:buffer";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import { type Entry, fromRandomAccessReaderPromise, type ZipFile } from "yauzl";
import { KilnError } from "../../../util/kiln-error.ts";
import { builderFault, quote, reasonOf } from "../fault.ts";
import { chunksOf, through } from "../streams.ts";
import { damagedData, explained } from "./damage.ts";
import { maxTargetBytes } from "./limits.ts";
import type { SourceFile } from "./source-file.ts";
import type { ArchiveTree } from "./tree.ts";
import { ZipSource } from "./zip-source.ts";

const unix = 3;
const macos = 19;
/** The hosts whose attributes are those of MS-DOS. */
const dos: ReadonlySet<number> = new Set([0, 11, 14]);
const dosDirectory = 0x10;

const typeMask = 0o170000;
const stored = 0;
const deflated = 8;

/** Entries of at most this many bytes are decompressed in one go: a stream for each would take much longer. */
const atOnce = 128 * 1024;

type EntryType = "file" | "directory" | "symlink";

/**
 * Unpacks the zip archive `source` into `tree`, in the order of its central directory.
 *
 * @throws KilnError of kind `builder`
 */
export async function unpackZip(source: SourceFile, tree: ArchiveTree): Promise<void> {
  const zip = await openZip(source);
  try {
    for await (const entry of entriesOf(zip)) {
      await unpackEntry(entry, { source, zip, tree });
      await tree.breathe();
    }
  } finally {
    zip.close();
  }
}

async function openZip(source: SourceFile): Promise<ZipFile> {
  try {
    // The sizes of stored entries are checked when they are read, like all others.
    return await fromRandomAccessReaderPromise(new ZipSource(source), source.size, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: false,
    });
  } catch (error) {
    throw explainedZip(error);
  }
}

async function* entriesOf(zip: ZipFile): AsyncGenerator<Entry, void, undefined> {
  const entries = zip.eachEntry();
  for (;;) {
    let next: IteratorResult<Entry, unknown>;
    try {
      next = await entries.next();
    } catch (error) {
      throw explainedZip(error);
    }
    if (next.done === true) return;
    yield next.value;
  }
}

interface ZipContext {
  readonly source: SourceFile;
  readonly zip: ZipFile;
  readonly tree: ArchiveTree;
}

async function unpackEntry(entry: Entry, { source, zip, tree }: ZipContext): Promise<void> {
  const name = nameOf(entry);
  const { type, executable } = kindOf(entry, name);
  if (type === "directory") {
    tree.directory(name);
    return;
  }
  const data = contentsOf(entry, name, { source, zip });
  if (type === "symlink") {
    tree.symlink(name, await targetIn(data));
    return;
  }
  using file = tree.file(name, executable, entry.uncompressedSize);
  for await (const chunk of data) await file.write(chunk);
}

/** The name as it is in the archive. Windows programs write backslashes, which no file name there holds. */
function nameOf(entry: Entry): Buffer {
  const raw = entry.fileNameRaw;
  if (!isUtf8(raw) || !raw.includes("\\")) return raw;
  return Buffer.from(raw.toString("utf8").replaceAll("\\", "/"));
}

function kindOf(entry: Entry, name: Buffer): { type: EntryType; executable: boolean } {
  const host = entry.versionMadeBy >> 8;
  const attributes = entry.externalFileAttributes;
  const isUnix = host === unix || host === macos;
  const mode = isUnix ? attributes >>> 16 : 0;
  const isDirectory = name.at(-1) === 0x2f || (dos.has(host) && (attributes & dosDirectory) !== 0);
  if (isDirectory) return { type: "directory", executable: false };
  return { type: typeOf(mode & typeMask, name), executable: (mode & 0o111) !== 0 };
}

function typeOf(type: number, name: Buffer): EntryType {
  switch (type) {
    case 0: // programs that know of permissions only
    case 0o100000:
      return "file";
    case 0o040000:
      return "directory";
    case 0o120000:
      return "symlink";
    default:
      throw builderFault(
        "extract.entry",
        `refused ${quote(name)}, a device, fifo or socket: only files, directories and links`,
      );
  }
}

async function targetIn(data: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of data) {
    chunks.push(chunk);
    size += chunk.length;
    // The tree refuses what is too long: no need to read on.
    if (size > maxTargetBytes) break;
  }
  return Buffer.concat(chunks);
}

/** The contents of an entry, decompressed. Size and checksum are compared with what was announced. */
async function* contentsOf(
  entry: Entry,
  name: Buffer,
  { source, zip }: Pick<ZipContext, "source" | "zip">,
): AsyncGenerator<Buffer, void, undefined> {
  if ((entry.generalPurposeBitFlag & 1) !== 0) {
    throw builderFault("extract.entry", `refused ${quote(name)}: it is encrypted`);
  }
  let sum = 0;
  let size = 0;
  for await (const chunk of rawContentsOf(entry, name, { source, zip })) {
    size += chunk.length;
    if (size > entry.uncompressedSize) break;
    sum = crc32(chunk, sum);
    yield chunk;
  }
  if (size !== entry.uncompressedSize) {
    throw damagedData(
      "zip",
      `${quote(name)} has not the ${entry.uncompressedSize} bytes announced`,
    );
  }
  if (sum !== entry.crc32) throw damagedData("zip", `wrong checksum of ${quote(name)}`);
}

async function* rawContentsOf(
  entry: Entry,
  name: Buffer,
  { source, zip }: Pick<ZipContext, "source" | "zip">,
): AsyncGenerator<Buffer, void, undefined> {
  const method = entry.compressionMethod;
  if (method !== stored && method !== deflated) {
    throw builderFault(
      "extract.format",
      `${quote(name)} is compressed by the unknown method ${method}`,
    );
  }
  const data = chunksOf(source, await startOf(entry, zip), entry.compressedSize);
  if (method === stored || entry.compressedSize === 0) {
    yield* data;
    return;
  }
  try {
    if (Math.max(entry.compressedSize, entry.uncompressedSize) > atOnce) {
      yield* through(createInflateRaw(), data);
    } else {
      const compressed = Buffer.concat(await Array.fromAsync(data));
      yield inflateRawSync(compressed, { maxOutputLength: Math.max(entry.uncompressedSize, 1) });
    }
  } catch (error) {
    throw explained("zip", error);
  }
}

/** Where the data of an entry begin: after its second header, whose length only that header tells. */
async function startOf(entry: Entry, zip: ZipFile): Promise<number> {
  try {
    const { fileDataStart } = await new Promise<{ fileDataStart: number }>((resolve, reject) => {
      zip.readLocalFileHeader(entry, { minimal: true }, (error, header) => {
        if (error === null) resolve(header);
        else reject(error);
      });
    });
    return fileDataStart;
  } catch (error) {
    throw explainedZip(error);
  }
}

function explainedZip(error: unknown): unknown {
  if (error instanceof KilnError) return error;
  const reason = reasonOf(error);
  // yauzl has no codes. System errors do, and are not the archive's.
  if (error instanceof Error && "syscall" in error) return error;
  return damagedData("zip", reason.charAt(0).toLowerCase() + reason.slice(1), error);
}
