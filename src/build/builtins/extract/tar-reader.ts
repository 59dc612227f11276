/**
 * Reads tar archives: v7, POSIX (ustar, pax) and GNU.
 *
 * Our own, because what an archive means must be certain, and the libraries differ from tar(1) and Go's archive/tar where it
 * matters: they read on after the end mark, apply global pax headers, take the size of a link for contents, or turn bytes that are
 * not UTF-8 into other ones without a word. Sparse files are refused: nobody but GNU tar reads all their kinds.
 *
 * ```text
 * header (512 bytes)                                   an entry may be preceded by headers about it:
 *   0 name      100    136 mtime     12   263 version    x  pax records "LENGTH KEY=VALUE\n": path, linkpath, size
 *   100 mode      8    148 checksum   8   265 owner ...  L  GNU: the name      K  GNU: the link's target
 *   108 uid       8    156 type       1   345 prefix     g  pax records for all that follow: ignored
 *   116 gid       8    157 target   100                 then the contents, filled up to 512 bytes;
 *   124 size     12    257 magic      6                 at the end two blocks of zeros
 * ```
 */
import type { ByteReader } from "../../../util/byte-reader.ts";
import { hasCode } from "../../../util/kiln-error.ts";
import { builderFault, quote } from "../fault.ts";

export interface TarEntry {
  readonly type: "file" | "directory" | "symlink" | "hardLink";
  /** As it is in the archive: any bytes, any place. */
  readonly name: Buffer;
  /** Of links, else empty. */
  readonly target: Buffer;
  readonly executable: boolean;
  /** Bytes of contents that {@link TarReader.data} gives. */
  readonly size: number;
}

const blockSize = 512;
const slash = 0x2f;
const empty = Buffer.alloc(0);

/** The most bytes of pax records or of a long name, as in Go. */
const maxHeaderSize = 1 << 20;

/** What the headers before an entry say about it. */
interface Overrides {
  name?: Buffer;
  target?: Buffer;
  size?: number;
}

export class TarReader {
  readonly #bytes: ByteReader;
  /** Contents of the current entry not read yet, and what fills up their last block. */
  #left = 0;
  #padding = 0;
  #offset = 0;
  #ended = false;
  #marked = false;

  constructor(bytes: ByteReader) {
    this.#bytes = bytes;
  }

  /** Whether the archive's end was marked by zeros. Archives that were cut short between two entries lack that. */
  get endMarked(): boolean {
    return this.#marked;
  }

  /**
   * The next entry, or undefined at the end. Contents of the last one that were not read are passed over.
   *
   * @throws KilnError `extract.damaged`, `extract.truncated`, or `extract.entry` for types that have no place in an object.
   */
  async next(): Promise<TarEntry | undefined> {
    const overrides: Overrides = {};
    for (;;) {
      await this.#skipContents();
      const header = await this.#header();
      if (header === undefined) {
        if (Object.keys(overrides).length > 0) throw this.#truncated();
        return undefined;
      }
      const type = String.fromCharCode(header[156] ?? 0);
      switch (type) {
        case "g":
          this.#expect(this.#size(header));
          break;
        case "x":
          this.#readRecords(await this.#headerContents(header), overrides);
          break;
        case "L":
          overrides.name = upToZero(await this.#headerContents(header));
          break;
        case "K":
          overrides.target = upToZero(await this.#headerContents(header));
          break;
        default:
          return this.#entry(type, header, overrides);
      }
    }
  }

  /** The next bytes of the current entry's contents; undefined after the last. A view, good until the next call. */
  async data(): Promise<Buffer | undefined> {
    if (this.#left === 0) return undefined;
    const chunk = await this.#bytes.chunk();
    if (chunk === undefined) throw this.#truncated();
    const taken = chunk.subarray(0, this.#left);
    if (taken.length < chunk.length) this.#bytes.unread(chunk.subarray(taken.length));
    this.#left -= taken.length;
    this.#offset += taken.length;
    return taken;
  }

  #entry(letter: string, header: Buffer, overrides: Overrides): TarEntry {
    const name = overrides.name ?? nameIn(header);
    const size = overrides.size ?? this.#size(header);
    let type = typeOf(letter, name);
    if (type === "file" && name.at(-1) === slash) {
      // v7 has no type for directories.
      if (size > 0) throw this.#damaged(`the directory ${quote(name)} has contents`);
      type = "directory";
    }
    const isLink = type === "symlink" || type === "hardLink";
    // Some writers announce the size of what a link leads to, or of a directory on the disk it came from: nothing follows.
    const contents = type === "file" ? size : 0;
    this.#expect(contents);
    return {
      type,
      name,
      target: isLink ? (overrides.target ?? upToZero(header, 157, 100)) : empty,
      executable: (this.#number(header, 100, 8, "mode") & 0o111) !== 0,
      size: contents,
    };
  }

  /** The next header block, or undefined at the end of the archive. */
  async #header(): Promise<Buffer | undefined> {
    if (this.#ended) return undefined;
    const block = await this.#block();
    if (block === undefined || isZero(block)) {
      this.#ended = true;
      this.#marked = block !== undefined;
      const second = block === undefined ? undefined : await this.#block();
      if (second !== undefined && !isZero(second)) throw this.#damaged("a lone block of zeros");
      return undefined;
    }
    const [unsigned, signed] = checksums(block);
    const stored = this.#number(block, 148, 8, "checksum");
    // Some old tars added the bytes up as signed numbers.
    if (stored !== unsigned && stored !== signed) throw this.#damaged("wrong checksum of a header");
    return block;
  }

  async #block(): Promise<Buffer | undefined> {
    const chunk = await this.#bytes.chunk();
    if (chunk === undefined) return undefined;
    this.#bytes.unread(chunk);
    return await this.#exact(blockSize);
  }

  async #headerContents(header: Buffer): Promise<Buffer> {
    const size = this.#size(header);
    if (size > maxHeaderSize) throw this.#damaged(`a header of ${size} bytes`);
    this.#expect(size);
    this.#left = 0;
    return await this.#exact(size);
  }

  #expect(contents: number): void {
    this.#left = contents;
    this.#padding = (blockSize - (contents % blockSize)) % blockSize;
  }

  async #skipContents(): Promise<void> {
    while ((await this.data()) !== undefined);
    if (this.#padding > 0) await this.#exact(this.#padding);
    this.#padding = 0;
  }

  async #exact(size: number): Promise<Buffer> {
    try {
      const bytes = await this.#bytes.exact(size);
      this.#offset += size;
      return bytes;
    } catch (error) {
      throw hasCode(error, "stream.truncated") ? this.#truncated() : error;
    }
  }

  #readRecords(records: Buffer, overrides: Overrides): void {
    for (let rest = records; rest.length > 0;) {
      const space = rest.indexOf(0x20);
      const digits = rest.toString("latin1", 0, Math.max(space, 0));
      const length = /^[0-9]{1,9}$/.test(digits) ? Number(digits) : 0;
      const equals = rest.indexOf(0x3d, space);
      if (length > rest.length || rest[length - 1] !== 0x0a || equals === -1 || equals >= length) {
        throw this.#damaged("a malformed pax header");
      }
      const key = rest.toString("latin1", space + 1, equals);
      this.#readRecord(key, rest.subarray(equals + 1, length - 1), overrides);
      rest = rest.subarray(length);
    }
  }

  /** An empty value means that the header's own counts. */
  #readRecord(key: string, value: Buffer, overrides: Overrides): void {
    if (key.startsWith("GNU.sparse.")) throw refusedType("a sparse file");
    if (key === "path") overrides.name = value;
    else if (key === "linkpath") overrides.target = value;
    else if (key === "size") overrides.size = this.#decimal(value);
    else return;
    if (value.length > 0) return;
    if (key === "path") delete overrides.name;
    else if (key === "linkpath") delete overrides.target;
    else delete overrides.size;
  }

  #decimal(digits: Buffer): number {
    const text = digits.toString("latin1");
    const size = Number(text);
    if (!/^[0-9]*$/.test(text) || size > Number.MAX_SAFE_INTEGER) {
      throw this.#damaged(`${quote(digits)} is no size`);
    }
    return size;
  }

  #size(header: Buffer): number {
    return this.#number(header, 124, 12, "size");
  }

  /** Octal digits, with blanks or zeros around them; or, when the first bit is set, a big-endian number (GNU). */
  #number(header: Buffer, at: number, length: number, field: string): number {
    const bytes = header.subarray(at, at + length);
    const first = bytes[0] ?? 0;
    if ((first & 0x80) !== 0) {
      let value = first & 0x7f;
      for (const byte of bytes.subarray(1)) value = value * 256 + byte;
      // The second bit is the sign. Below 2^53 nothing was rounded on the way.
      if ((first & 0x40) === 0 && value <= Number.MAX_SAFE_INTEGER) return value;
    } else {
      const text = bytes.toString("latin1").replace(/^[ \0]+/, "");
      const digits = /^([0-7]*)(?: *(?:\0|$))/.exec(text)?.[1];
      if (digits !== undefined) return digits === "" ? 0 : Number.parseInt(digits, 8);
    }
    throw this.#damaged(`${quote(bytes)} is no ${field}`);
  }

  #damaged(what: string): Error {
    return builderFault(
      "extract.damaged",
      `not a tar archive, or a damaged one: ${what} at byte ${this.#offset}`,
    );
  }

  #truncated(): Error {
    return builderFault(
      "extract.truncated",
      `the tar archive is cut short: it ends at byte ${this.#offset}`,
    );
  }
}

/** Whether `block` can be the first of a tar archive: its checksum is right, or it is the end mark of an empty one. */
export function isTarHeader(block: Buffer): boolean {
  if (block.length < blockSize) return false;
  if (isZero(block.subarray(0, blockSize))) return true;
  const digits = /^[ \0]*([0-7]+)[ \0]/.exec(block.toString("latin1", 148, 156))?.[1] ?? "";
  return checksums(block).includes(Number.parseInt(digits, 8));
}

function typeOf(letter: string, name: Buffer): TarEntry["type"] {
  switch (letter) {
    case "0":
    case "\0":
    case "7": // contiguous on disk, once
      return "file";
    case "1":
      return "hardLink";
    case "2":
      return "symlink";
    case "5":
      return "directory";
    case "3":
    case "4":
      throw refusedType(`the device ${quote(name)}`);
    case "6":
      throw refusedType(`the fifo ${quote(name)}`);
    case "S":
      throw refusedType(`the sparse file ${quote(name)}`);
    default:
      throw refusedType(`${quote(name)}, an entry of the unknown type ${quote(letter)}`);
  }
}

function refusedType(what: string): Error {
  return builderFault("extract.entry", `refused ${what}: only files, directories and links`);
}

/** ustar puts what is before a slash into the prefix when the name is longer than 100 bytes. */
function nameIn(header: Buffer): Buffer {
  const name = upToZero(header, 0, 100);
  const isUstar = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? upToZero(header, 345, 155) : empty;
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
}

function upToZero(bytes: Buffer, start = 0, length: number = bytes.length): Buffer {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  // A copy: the block may be part of a buffer that is used again.
  return Buffer.from(end === -1 ? field : field.subarray(0, end));
}

/** The sum of the header's bytes, with the checksum's own taken for blanks: as unsigned and as signed bytes. */
function checksums(block: Buffer): [unsigned: number, signed: number] {
  let unsigned = 8 * 0x20;
  let negative = 0;
  for (let i = 0; i < blockSize; i++) {
    if (i >= 148 && i < 156) continue;
    const byte = block[i] ?? 0;
    unsigned += byte;
    if (byte >= 0x80) negative++;
  }
  return [unsigned, unsigned - 256 * negative];
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}
