/** What a program of the host consists of: itself alone, or with a loader and libraries that must be found beside it. */
import { execFile } from "node:child_process";
import { closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { promisify } from "node:util";

/** Kinds of ELF program headers, elf(5). */
const interpreterSegment = 3;

/**
 * The loader that an ELF program (64 bit, little-endian) names.
 *
 * @returns null for a static program; undefined for every other file, also one that cannot be read
 */
export function loaderOf(path: string): string | null | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  let file;
  try {
    file = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    const head = readAt(file, 0, 64);
    if (head?.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2 || head[5] !== 1) return undefined;
    const size = head.readUInt16LE(54);
    const table = readAt(file, Number(head.readBigUInt64LE(32)), size * head.readUInt16LE(56));
    if (table === undefined || size < 56) return undefined;
    for (let at = 0; at < table.length; at += size) {
      if (table.readUInt32LE(at) !== interpreterSegment) continue;
      const length = Math.min(4096, Number(table.readBigUInt64LE(at + 32)));
      const name = readAt(file, Number(table.readBigUInt64LE(at + 8)), length);
      return name?.toString("latin1").replace(/\0.*$/s, "");
    }
    return null;
  } finally {
    closeSync(file);
  }
}

/** What the kernel runs a file with: the loader that a program names, or the interpreter of a script; undefined for others. */
export function interpreterOf(path: string): string | undefined {
  const loader = loaderOf(path);
  if (loader !== undefined) return loader ?? undefined;
  return /^#![ \t]*(\/[^ \t\n\0]*)/.exec(firstBytes(path, 256))?.[1];
}

/** Whether a program runs without any other file. */
export function isStaticProgram(path: string): boolean {
  return loaderOf(path) === null;
}

/** The loader and the libraries of a program, as the loader itself names them; none for what is no dynamic program. */
export async function librariesOf(path: string): Promise<string[]> {
  const loader = loaderOf(path);
  if (loader === null || loader === undefined || !loader.startsWith("/")) return [];
  const { stdout } = await promisify(execFile)(loader, ["--list", path], { env: {} });
  const named = Array.from(stdout.matchAll(/(\/\S+) \(0x/g), ([, library = ""]) => library);
  return [...new Set([loader, ...named])];
}

function firstBytes(path: string, length: number): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(length);
    return bytes.toString("latin1", 0, readSync(file, bytes, 0, length, 0));
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, position: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, position) === length ? bytes : undefined;
}
