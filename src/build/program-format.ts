/** What the kernel runs as a program, by what is in the file. */
import { Buffer } from "node:buffer";
import { accessSync, closeSync, constants, openSync, readdirSync, readSync } from "node:fs";

/**
 * Whether the kernel would refuse to run the file because of what is in it. The C library would then have a shell run it, which is no
 * part of the derivation.
 */
export function hasUnknownFormat(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const start = Buffer.alloc(4);
      const length = readSync(fd, start, 0, 4, 0);
      const isKnown =
        start.equals(elf) || start.toString("latin1", 0, Math.min(length, 2)) === "#!";
      return !isKnown && !hasOtherFormats();
    } finally {
      closeSync(fd);
    }
  } catch {
    return false; // the kernel will say what is wrong with it
  }
}

/** Whether the file is an executable in the kernel's own format. */
export function isElf(file: string): boolean {
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const start = Buffer.alloc(4);
      return readSync(fd, start, 0, 4, 0) === 4 && start.equals(elf);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

const elf = Buffer.from("\x7fELF", "latin1");

/** Whether the kernel was taught formats that cannot be told here. */
export function hasOtherFormats(): boolean {
  try {
    const names = readdirSync("/proc/sys/fs/binfmt_misc");
    return names.some((name) => name !== "register" && name !== "status");
  } catch {
    return process.platform !== "linux";
  }
}
