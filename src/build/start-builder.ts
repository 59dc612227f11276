/** Starting a builder exactly as its derivation says. */
import { spawn, type ChildProcess } from "node:child_process";
import { Buffer } from "node:buffer";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { stringToBytes } from "../util/byte-string.ts";
import { inheritedDescriptors } from "../util/inherited-descriptors.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { BuildTask } from "./executor.ts";

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
 * Starts the builder in a session of its own, with standard output and error going to `output`. A builder that cannot be
 * started is a fault of the derivation, worded as zb words it.
 *
 * @throws KilnError `process.spawn` when it is this machine that cannot
 */
export async function startBuilder(
  task: BuildTask,
  output: number,
  launcher: string,
): Promise<Started> {
  const { builder, args } = task.derivation;
  if (!builder.startsWith("/")) {
    return { fault: `fork/exec ${builder}: the builder is not an absolute path` };
  }
  const texts = [builder, ...args, ...[...task.env].flat()];
  if (texts.some((text) => text.includes("\0"))) {
    return { fault: `fork/exec ${builder}: ${faults["EINVAL"]}` };
  }
  const direct = texts.every((text) => text.isWellFormed());
  if (!direct) writeFileSync(launcher, launcherScript(task), { mode: 0o644 });
  const [file, argv] = direct ? [builder, args] : ["/bin/sh", [launcher]];
  try {
    const child = spawnIn(task, file, argv, {
      env: environmentOf(direct ? task.env : new Map()),
      output,
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

/** Found once: what this process opens itself is never passed on. */
let inherited: readonly number[] | undefined;

function spawnIn(
  task: BuildTask,
  file: string,
  args: readonly string[],
  { env, output }: { env: NodeJS.ProcessEnv; output: number },
): ChildProcess {
  const stdio: (number | "ignore")[] = ["ignore", output, output];
  const nothing = openSync("/dev/null", "r");
  try {
    // What this process was given without having asked for it must not reach a builder.
    inherited ??= inheritedDescriptors();
    for (const fd of inherited) {
      while (stdio.length < fd) stdio.push("ignore");
      stdio[fd] = nothing;
    }
    return withUmask(0o022, () =>
      spawn(file, args, { cwd: task.workDirectory, detached: true, env, stdio, ...task.user }),
    );
  } finally {
    closeSync(nothing);
  }
}

/** Node gives a child its own NODE_V8_COVERAGE unless the variable is mentioned. */
function environmentOf(env: ReadonlyMap<string, string>): NodeJS.ProcessEnv {
  return Object.fromEntries([["NODE_V8_COVERAGE", undefined], ...env]);
}

/** Only the main thread may change the umask; it is the whole process's, so it is changed for a moment. */
function withUmask<T>(umask: number, start: () => T): T {
  let before: number;
  try {
    before = process.umask(umask);
  } catch {
    return start();
  }
  try {
    return start();
  } finally {
    process.umask(before);
  }
}

/** Node passes texts as UTF-8; other bytes can only reach a program through a script that holds them. */
function launcherScript(task: BuildTask): Buffer {
  const { builder, args } = task.derivation;
  const words = [...task.env].map(([name, value]) => `${name}=${value}`);
  const quoted = [...words, builder, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return stringToBytes(`exec /usr/bin/env -i ${quoted.join(" ")}\n`);
}
