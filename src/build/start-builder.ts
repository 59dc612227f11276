/** Starting a builder exactly as its derivation says. */
import { spawn, type ChildProcess } from "node:child_process";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { BuildUser } from "./executor.ts";

/** What there is to know for starting one. All texts are byte strings. */
export interface BuilderCommand {
  readonly builder: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: ReadonlyMap<string, string>;
  readonly workDirectory: string;
  readonly user: BuildUser | undefined;
  /** Where a script can be written, if one is needed. */
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

/**
 * Starts the builder in a session of its own, with standard output and error going to the descriptor `output`. A builder that
 * cannot be started is a fault of the derivation, worded as zb words it.
 *
 * @throws KilnError `process.spawn` when it is this machine that cannot
 */
export async function startBuilder(command: BuilderCommand, output: number): Promise<Started> {
  const { builder, args, env, launcher } = command;
  if (!builder.startsWith("/")) {
    return { fault: `fork/exec ${builder}: the builder is not an absolute path` };
  }
  const texts = [builder, ...args, ...[...env].flat()];
  if (texts.some((text) => text.includes("\0"))) {
    return { fault: `fork/exec ${builder}: ${faults["EINVAL"]}` };
  }
  const isDirect = texts.every((text) => text.isWellFormed());
  if (!isDirect) writeFileSync(launcher, launcherScript(command), { mode: 0o644 });
  const [file, argv] = isDirect ? [builder, args] : ["/bin/sh", [launcher]];
  try {
    const child = spawn(file, argv, {
      cwd: command.workDirectory,
      detached: true,
      env: environmentOf(isDirect ? env : new Map()),
      stdio: ["ignore", output, output],
      ...command.user,
    });
    if (child.pid !== undefined) return { process: child, pid: child.pid };
    const error = await new Promise((resolve) => child.once("error", resolve));
    throw error;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const fault = faults[code];
    if (fault !== undefined) return { fault: `fork/exec ${builder}: ${fault}` };
    throw new KilnError("process.spawn", `cannot start ${builder}: ${String(error)}`, {
      kind: "internal",
      cause: error,
    });
  }
}

/** Node gives a child its own NODE_V8_COVERAGE unless the variable is mentioned. */
function environmentOf(env: ReadonlyMap<string, string>): NodeJS.ProcessEnv {
  return Object.fromEntries([["NODE_V8_COVERAGE", undefined], ...env]);
}

/** Node passes texts as UTF-8; other bytes can only reach a program through a script that holds them. */
function launcherScript({ builder, args, env }: BuilderCommand): Buffer {
  const words = [...env].map(([name, value]) => `${name}=${value}`);
  const quoted = [...words, builder, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return stringToBytes(`exec /usr/bin/env -i ${quoted.join(" ")}\n`);
}
