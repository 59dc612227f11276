/** Starting a builder exactly as its derivation says. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { Buffer } from "node:buffer";
import { closeSync, fchmodSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import { stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { BuildUser } from "./executor.ts";
import { hasUnknownFormat } from "./program-format.ts";

/** What there is to know for starting one. All texts are byte strings. */
export interface BuilderCommand {
  readonly builder: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: ReadonlyMap<string, string>;
  readonly workDirectory: string;
  readonly user: BuildUser | undefined;
  /** Where a script can be written for a moment, if one is needed. */
  readonly launcher: string;
}

export type Started =
  | { readonly process: ChildProcess; readonly pid: number }
  | { readonly fault: string };

/** What the kernel says, in the words of Go's `syscall` package, which zb shows. These are faults of the derivation. */
const faults: Readonly<Record<string, string>> = {
  E2BIG: "argument list too long",
  EACCES: "permission denied",
  EINVAL: "invalid argument",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  ENAMETOOLONG: "file name too long",
  ENOENT: "no such file or directory",
  ENOEXEC: "exec format error",
  ENOTDIR: "not a directory",
  EPERM: "operation not permitted",
};

/** Why no builder can be started so, whatever is on this machine. */
export function commandFault({ builder, args, env }: BuilderCommand): string | undefined {
  if (!builder.startsWith("/")) {
    return `fork/exec ${builder}: the builder is not an absolute path`;
  }
  const texts = [builder, ...args, ...[...env].flat()];
  return texts.some((text) => text.includes("\0")) ? faultFor(builder, "EINVAL") : undefined;
}

/** What to say of an error of the kernel that the derivation is at fault for; undefined for others. */
export function faultFor(builder: string, error = ""): string | undefined {
  const fault = faults[error];
  return fault === undefined ? undefined : `fork/exec ${builder}: ${fault}`;
}

/** That it is this machine that cannot start it. */
export function spawnError(builder: string, why: string, cause?: unknown): KilnError {
  return new KilnError("process.spawn", `cannot start ${builder}: ${why}`, {
    kind: "internal",
    cause,
  });
}

/**
 * Starts the builder in a session of its own, with standard output and error going to the descriptor `output`. A builder that
 * cannot be started is a fault of the derivation, worded as zb words it.
 *
 * @throws KilnError `process.spawn` when it is this machine that cannot
 */
export async function startBuilder(command: BuilderCommand, output: number): Promise<Started> {
  const { builder, args, env } = command;
  const fault =
    commandFault(command) ?? (hasUnknownFormat(builder) ? faultFor(builder, "ENOEXEC") : undefined);
  if (fault !== undefined) return { fault };
  try {
    const texts = [builder, ...args, ...[...env].flat()];
    const child = texts.every((text) => text.isWellFormed())
      ? spawnIn(command, { file: builder, args, env, stdio: ["ignore", output, output] })
      : spawnByScript(command, output);
    if (child.pid !== undefined) return { process: child, pid: child.pid };
    const error = await new Promise((resolve) => child.once("error", resolve));
    throw error;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const fault = faultFor(builder, code);
    if (fault !== undefined) return { fault };
    throw spawnError(builder, String(error), error);
  }
}

function spawnIn(
  { workDirectory, user }: BuilderCommand,
  program: {
    readonly file: string;
    readonly args: readonly string[];
    readonly env: ReadonlyMap<string, string>;
    readonly stdio: StdioOptions;
  },
): ChildProcess {
  const { file, args, stdio } = program;
  // Node gives a child its own NODE_V8_COVERAGE unless the variable is mentioned.
  const env = Object.fromEntries([["NODE_V8_COVERAGE", undefined], ...program.env]);
  return spawn(file, args, { cwd: workDirectory, detached: true, env, stdio, ...user });
}

/**
 * Node passes texts as UTF-8; other bytes can only reach a program through a script that holds them. The shell gets it as an open file,
 * since who runs it may not be allowed where it lies.
 */
function spawnByScript(command: BuilderCommand, output: number): ChildProcess {
  const { launcher } = command;
  writeFileSync(launcher, scriptFor(command));
  const script = openSync(launcher, "r");
  try {
    fchmodSync(script, 0o644);
    unlinkSync(launcher);
    const stdio: StdioOptions = ["ignore", output, output, script];
    return spawnIn(command, { file: "/bin/sh", args: ["/dev/fd/3"], env: new Map(), stdio });
  } finally {
    closeSync(script);
  }
}

function scriptFor({ builder, args, env }: BuilderCommand): Buffer {
  const words = [...env].map(([name, value]) => `${name}=${value}`);
  const quoted = [...words, builder, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return stringToBytes(`exec 3<&-\nexec /usr/bin/env -i ${quoted.join(" ")}\n`);
}
