/** Whether a program runs without any library: builders see such a shell as /bin/sh and nothing of the host beside it. */
import { closeSync, openSync, readSync } from "node:fs";

const interpreterSegment = 3; // PT_INTERP, elf(5)

/** True for an ELF program (64 bit, little-endian) that names no loader; false for everything else, also for what cannot be read. */
export function isStaticProgram(path: string): boolean {
  let file;
  try {
    file = openSync(path, "r");
  } catch {
    return false;
  }
  try {
    const head = Buffer.alloc(64);
    readSync(file, head, 0, head.length, 0);
    if (head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2 || head[5] !== 1) return false;
    const size = head.readUInt16LE(54);
    const count = head.readUInt16LE(56);
    const table = Buffer.alloc(size * count);
    if (
      size < 4 ||
      readSync(file, table, 0, table.length, Number(head.readBigUInt64LE(32))) < table.length
    ) {
      return false;
    }
    for (let at = 0; at < table.length; at += size) {
      if (table.readUInt32LE(at) === interpreterSegment) return false;
    }
    return true;
  } finally {
    closeSync(file);
  }
}
