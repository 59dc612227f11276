/** For tests: archives made by tar-stream and yazl, and by hand where those are too well-behaved. */
import { buffer } from "node:stream/consumers";
import { pack, type Header } from "tar-stream";
import { ZipFile } from "yazl";

export type TarItem = Partial<Header> & { name: string; data?: string | Buffer };

/** A POSIX tar archive. */
export async function tar(...items: readonly TarItem[]): Promise<Buffer> {
  const packer = pack();
  for (const { data = "", ...header } of items) {
    if (header.type === undefined || header.type === "file") packer.entry(header, data);
    else packer.entry(header);
  }
  packer.finalize();
  return await buffer(packer);
}

export interface RawHeader {
  readonly name?: string | Buffer;
  readonly type?: string;
  readonly size?: string;
  readonly mode?: string;
  readonly target?: string | Buffer;
  readonly magic?: string;
  readonly prefix?: string;
  readonly checksum?: (unsigned: number, block: Buffer) => number;
}

/** A header block with any fields at all. */
export function rawHeader(header: RawHeader): Buffer {
  const block = Buffer.alloc(512);
  Buffer.from(header.name ?? "file").copy(block, 0, 0, 100);
  block.write(header.mode ?? "0000644\0", 100, "latin1");
  block.write("0000000\x000000000\x00", 108, "latin1");
  block.write(header.size ?? "00000000000\0", 124, "latin1");
  block.write("00000000000\0", 136, "latin1");
  block.write(header.type ?? "0", 156, "latin1");
  Buffer.from(header.target ?? "").copy(block, 157, 0, 100);
  block.write(header.magic ?? "ustar\x0000", 257, "latin1");
  block.write(header.prefix ?? "", 345, "latin1");
  block.fill(" ", 148, 156);
  const unsigned = block.reduce((sum, byte) => sum + byte, 0);
  const sum = header.checksum?.(unsigned, block) ?? unsigned;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** A raw header with contents after it, filled up to whole blocks. */
export function rawEntry(header: RawHeader, data: string | Buffer = ""): Buffer {
  const bytes = Buffer.from(data);
  const size = `${bytes.length.toString(8).padStart(11, "0")}\0`;
  const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512);
  return Buffer.concat([rawHeader({ size, ...header }), bytes, padding]);
}

/** Pax records as the contents of an `x` or `g` entry. */
export function paxRecords(records: readonly (readonly [string, string | Buffer])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
      let length = rest.length;
      while (length !== rest.length + String(length).length) {
        length = rest.length + String(length).length;
      }
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

export const endMark: Buffer = Buffer.alloc(1024);

export interface ZipItem {
  readonly name: string;
  readonly data?: string | Buffer;
  /** The whole st_mode; default a plain file. */
  readonly mode?: number;
  readonly stored?: boolean;
}

export async function zip(...items: readonly ZipItem[]): Promise<Buffer> {
  const file = new ZipFile();
  for (const { name, data = "", mode = 0o100644, stored = false } of items) {
    if (name.endsWith("/")) file.addEmptyDirectory(name, { mode });
    else file.addBuffer(Buffer.from(data), name, { mode, compress: !stored });
  }
  file.end();
  return await buffer(file.outputStream);
}

/** Replaces bytes everywhere, in headers of both kinds: for names that zip writers refuse to write. */
export function replaceBytes(data: Buffer, from: string, to: string | Buffer): Buffer {
  const wanted = Buffer.from(from);
  const replacement = Buffer.from(to);
  if (wanted.length !== replacement.length) throw new RangeError("lengths differ");
  const copy = Buffer.from(data);
  for (let at = copy.indexOf(wanted); at !== -1; at = copy.indexOf(wanted, at + 1)) {
    replacement.copy(copy, at);
  }
  return copy;
}
