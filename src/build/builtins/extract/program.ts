/** Programs of the host as filters. */
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { KilnError } from "../../../util/kiln-error.ts";
import { builderFault, quote } from "../fault.ts";

const maxComplaint = 2048;

/** The program of this name in the absolute directories of `searchPath` (separated as in the environment variable). */
export function findProgram(name: string, searchPath = "/usr/bin:/bin"): string | undefined {
  return searchPath
    .split(":")
    .filter(isAbsolute)
    .map((directory) => join(directory, name))
    .find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export interface ProgramOptions {
  /** A descriptor for the program to read, from its current position. */
  readonly input: number;
  readonly signal: AbortSignal;
}

/**
 * What a program writes to its standard output. It sees nothing of our environment, and it is gone when this ends, however that is.
 *
 * @throws KilnError `extract.damaged` or `extract.truncated` when it ends with another status than 0
 */
export async function* throughProgram(
  path: string,
  args: readonly string[],
  { input, signal }: ProgramOptions,
): AsyncGenerator<Buffer, void, undefined> {
  signal.throwIfAborted();
  const child = spawn(path, args, {
    cwd: "/",
    env: { LC_ALL: "C" },
    stdio: [input, "pipe", "pipe"],
  });
  const ended = new Promise<{ code: number | null; failure?: Error }>((resolve) => {
    child.on("error", (failure) => resolve({ code: null, failure }));
    child.on("close", (code) => resolve({ code }));
  });
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill);
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString("latin1")).slice(0, maxComplaint);
  });
  try {
    for await (const chunk of child.stdout ?? []) if (Buffer.isBuffer(chunk)) yield chunk;
    const { code, failure } = await ended;
    signal.throwIfAborted();
    if (failure !== undefined) {
      const message = `cannot run ${path}: ${failure.message}`;
      throw new KilnError("extract.program", message, { kind: "internal", cause: failure });
    }
    if (code !== 0) throw refusal(basename(path), complaint);
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
    await ended;
  }
}

/** bzip2 adds advice after its first line. */
function refusal(program: string, complaint: string): KilnError {
  const [line = ""] = complaint.trim().split("\n");
  const isCutShort = /unexpected end of input|ends unexpectedly/i.test(complaint);
  const verdict = isCutShort ? "cut short" : "damaged";
  const code = isCutShort ? "extract.truncated" : "extract.damaged";
  const says = line === "" ? "" : `: ${quote(line)}`;
  return builderFault(code, `the ${program} data are ${verdict}${says}`);
}
