/** What an entry of a directory may be called: 1 to 255 bytes of UTF-8, without `/` and NUL, not `.` and not `..`. */
import { isUtf8, type Buffer } from "node:buffer";
import { KilnError } from "../../util/kiln-error.ts";
import { maxNameLength } from "./limits.ts";

const slash = 0x2f;

/**
 * The entry name in `bytes[start, end)`.
 *
 * @param offset where the name lies in the NAR, for the message
 * @throws KilnError `nar.name`
 */
export function readEntryName(bytes: Buffer, start: number, end: number, offset: number): string {
  const ascii = checkNameBytes(bytes, start, end, offset);
  const name = bytes.toString(ascii ? "latin1" : "utf8", start, end);
  if (name === "." || name === "..") throw badName(`${name} is reserved`, offset);
  return name;
}

/**
 * Writes an entry name into `bytes`, which must have {@link maxNameLength} bytes after `at`.
 *
 * @param offset where the name lies in the NAR, for the message
 * @returns the length of the name in bytes
 * @throws KilnError `nar.name`
 */
export function writeEntryName(name: string, bytes: Buffer, at: number, offset: number): number {
  // A UTF-16 unit takes at least one byte: what is longer than this does not fit, and would be cut in silence.
  if (name.length > maxNameLength || !name.isWellFormed()) {
    throw badName("it is too long or not UTF-8", offset);
  }
  const length = bytes.write(name, at, "utf8");
  if (length > maxNameLength) throw badName(`it has ${length} bytes`, offset);
  checkNameBytes(bytes, at, at + length, offset);
  if (name === "." || name === "..") throw badName(`${name} is reserved`, offset);
  return length;
}

/** Whether the name is ASCII; throws when it is no name. */
function checkNameBytes(bytes: Buffer, start: number, end: number, offset: number): boolean {
  if (start === end) throw badName("it is empty", offset);
  let all = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 0 || byte === slash) {
      throw badName(`it holds a ${byte === 0 ? "NUL" : "slash"}`, offset);
    }
    all |= byte;
  }
  const ascii = all < 0x80;
  if (!ascii && !isUtf8(bytes.subarray(start, end))) throw badName("it is not UTF-8", offset);
  return ascii;
}

function badName(reason: string, offset: number): KilnError {
  return new KilnError("nar.name", `a bad entry name at byte ${offset} of a NAR: ${reason}`);
}
