/** Where the host's file systems are mounted, and how: `/proc/self/mountinfo`. */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { bytesToString } from "../../util/byte-string.ts";

/** Options that a mount of the same files must repeat: without root they cannot be taken away. */
const inheritedFlags = ["nosuid", "nodev", "noexec"];

interface MountPoint {
  readonly path: string;
  /** What of the file system is there: `/` is all. */
  readonly root: string;
  readonly type: string;
  readonly options: readonly string[];
}

export class MountTable {
  readonly #mounts: readonly MountPoint[];

  /** `text`: as /proc/self/mountinfo gives it. */
  constructor(text: Uint8Array) {
    this.#mounts = Buffer.from(text)
      .toString("latin1")
      .split("\n")
      .map((line) => line.split(" "))
      .filter((fields) => fields.length > 5)
      .map((fields) => ({
        path: unescape(fields[4] ?? ""),
        root: fields[3] ?? "",
        type: fields[fields.indexOf("-") + 1] ?? "",
        options: (fields[5] ?? "").split(","),
      }));
  }

  /** The mounts as they are now. */
  static read(): MountTable {
    return new MountTable(readFileSync("/proc/self/mountinfo"));
  }

  /** Which of `nosuid nodev noexec` the file system at `path` (absolute, without links) is mounted with. */
  flagsAt(path: string): string[] {
    let found: MountPoint | undefined;
    for (const mount of this.#mounts) {
      // Of several mounts on one place the last one counts.
      if (covers(mount.path, path) && mount.path.length >= (found?.path.length ?? 0)) found = mount;
    }
    return inheritedFlags.filter((flag) => found?.options.includes(flag) === true);
  }

  /** Where whole file systems of this type are. */
  ofType(type: string): string[] {
    return this.#mounts
      .filter((mount) => mount.type === type && mount.root === "/")
      .map(({ path }) => path);
  }

  /** The places below the directory `path` where something else is mounted, outer ones first. */
  below(path: string): string[] {
    const places = this.#mounts
      .map((mount) => mount.path)
      .filter((place) => place !== path && covers(path, place));
    return [...new Set(places)].toSorted((a, b) => a.length - b.length);
  }
}

function covers(directory: string, path: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** Blanks and backslashes are written in octal. */
function unescape(latin1: string): string {
  const bytes = latin1.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return bytesToString(Buffer.from(bytes, "latin1"));
}
