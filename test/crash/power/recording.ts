/** The system calls of a process and its threads, in order, as strace(1) writes them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const calls =
  "openat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,symlink,symlinkat,write,pwrite64,writev,pwritev,ftruncate,fallocate,chmod,fchmod,fchmodat,utimensat,fsync,fdatasync,syncfs,close,dup,dup2,dup3,link,linkat,copy_file_range,sendfile,clone,clone3,vfork,fork";

/** A call, or one of its two ends: between them others may have run. */
export interface Moment {
  readonly name: string;
  /** Arguments as text; bytes and paths as hexadecimal. */
  readonly args: readonly string[];
  /** Undefined where it only begins. */
  readonly result: number | undefined;
  readonly begins: boolean;
  /** Links the beginning and the end of one call. */
  readonly id: number;
  /** Whether a process that was started, not the process itself, made it. */
  readonly foreign: boolean;
}

export const needsStrace: string | false = (() => {
  const tried = spawnSync("strace", ["-f", "-o", "/dev/null", "true"], { encoding: "utf8" });
  if (tried.error) return `strace is missing: ${tried.error.message}`;
  return tried.status === 0 ? false : `strace cannot trace here: ${tried.stderr.trim()}`;
})();

export function record(program: string, args: readonly string[]): Moment[] {
  const folder = mkdtempSync(join(tmpdir(), "kiln-strace-"));
  const file = join(folder, "trace");
  try {
    const flags = [
      "-f",
      "-qq",
      "-xx",
      "-s",
      "4194304",
      "-e",
      `trace=${calls}`,
      "-e",
      "signal=none",
    ];
    const ended = spawnSync("strace", [...flags, "-o", file, program, ...args], {
      encoding: "utf8",
      env: { ...process.env, UV_USE_IO_URING: "0" },
    });
    if (ended.status !== 0) throw new Error(`${program} failed: ${ended.stderr}`);
    return parse(readFileSync(file, "latin1"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function parse(text: string): Moment[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.includes("+++ exited"));
  const main = /^\d+/.exec(lines[0] ?? "")?.[0] ?? "";
  const ours = new Set([main]);
  /** By process: what it has begun. */
  const begun = new Map<string, { id: number; text: string }>();
  const raw: { pid: string; id: number; text: string; begins: boolean; ends: boolean }[] = [];
  let ids = 0;
  for (const line of lines) {
    const [, pid = "", rest = ""] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const open = begun.get(pid);
    if (resumed !== null && open !== undefined) {
      begun.delete(pid);
      raw.push({ pid, id: open.id, text: open.text + resumed[1]!, begins: false, ends: true });
    } else if (rest.endsWith("<unfinished ...>")) {
      const text = rest.slice(0, -"<unfinished ...>".length).trimEnd();
      begun.set(pid, { id: ++ids, text });
      raw.push({ pid, id: ids, text, begins: true, ends: false });
    } else {
      raw.push({ pid, id: ++ids, text: rest, begins: true, ends: true });
    }
  }
  for (const { text } of raw) {
    const thread = /^clone3?\(.*CLONE_THREAD.* = (\d+)$/.exec(text.replace(/ => \{.*?\}/, ""));
    if (thread?.[1] !== undefined) ours.add(thread[1]);
  }
  return raw.flatMap(({ pid, id, text, begins, ends }) => {
    const call = /^(\w+)\((.*)$/s.exec(text);
    if (call === null) return [];
    const [, name = "", after = ""] = call;
    const result = ends ? Number(/\) *= (-?\d+)/.exec(after)?.[1] ?? Number.NaN) : undefined;
    const args = argumentsOf(ends ? after.slice(0, after.lastIndexOf(")")) : after);
    return [{ name, args, result, begins, id, foreign: !ours.has(pid) }];
  });
}

/** Splits at the commas that are not within brackets; text is in quotes and hexadecimal, and has none. */
function argumentsOf(text: string): string[] {
  const args: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === "[" || sign === "{" || sign === "(") depth++;
    else if (sign === "]" || sign === "}" || sign === ")") depth--;
    else if (sign === "," && depth === 0) {
      args.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  args.push(text.slice(start).trim());
  return args;
}

/** The bytes of `"\x61\x62"`. */
export function bytesIn(arg: string): Buffer {
  const [, hex = ""] = /"((?:\\x[0-9a-f]{2})*)"/.exec(arg) ?? [];
  return Buffer.from(hex.replaceAll("\\x", ""), "hex");
}
