/**
 * How a failure is said and which exit code it has.
 *
 *     kiln: error: no target "ap" in kiln.build.ts [target.unknown]
 *       try   .#app (others: app-test, docs, pack, site)
 *
 * 1 is for everything a person can do something about: bad input, a refusal, a failed build, a full disk. 2 is for a fault of
 * Kiln's own. Stacks are shown with --debug only.
 */
import { EvaluationError } from "../author/evaluation-error.ts";
import { spaceHint } from "../files/file-error.ts";
import { KilnError } from "../util/kiln-error.ts";
import { asCalled } from "./called.ts";

/** Ends the command with an exit code after everything has been said already. */
export class ExitWith extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

/** What the operating system's words mean, by error code: [stable code, words]. */
const systemErrors: Readonly<Record<string, readonly [string, string]>> = {
  EACCES: ["file.denied", "permission denied"],
  EPERM: ["file.denied", "not permitted"],
  ENOENT: ["file.missing", "no such file or directory"],
  ENOTDIR: ["file.type", "a part of the path is no directory"],
  EISDIR: ["file.type", "is a directory"],
  EEXIST: ["file.exists", "exists already"],
  ENOTEMPTY: ["file.exists", "is not empty"],
  ELOOP: ["file.type", "too many symbolic links"],
  ENAMETOOLONG: ["file.name", "the name is too long"],
  EROFS: ["disk.readOnly", "the file system is read-only"],
  ENOSPC: ["disk.full", "no space left on the device"],
  EDQUOT: ["disk.full", "the disk quota is used up"],
  EIO: ["disk.failing", "input/output error"],
  EMFILE: ["process.descriptors", "too many open files"],
  ENFILE: ["process.descriptors", "too many open files on this machine"],
  ENOMEM: ["process.memory", "out of memory"],
  EPIPE: ["output.closed", "the reader of the output went away"],
};

/** Anything thrown, as the KilnError to print. Unknown things are faults of Kiln's own, code `internal`. */
export function toKilnError(thrown: unknown): KilnError {
  if (thrown instanceof KilnError) return thrown;
  if (isSystemError(thrown)) {
    const known = Object.hasOwn(systemErrors, thrown.code) ? systemErrors[thrown.code] : undefined;
    if (known !== undefined) {
      const [code, words] = known;
      const where = thrown.dest === undefined ? thrown.path : `${thrown.path} -> ${thrown.dest}`;
      const verb =
        thrown.syscall === undefined ? "" : `cannot ${verbs[thrown.syscall] ?? thrown.syscall} `;
      const what = where === undefined ? words : `${verb}${where}: ${words}`;
      const hint = code === "disk.full" ? { hint: spaceHint } : {};
      return new KilnError(code, what, { kind: "internal", cause: thrown, ...hint });
    }
  }
  return KilnError.from(thrown);
}

const verbs: Readonly<Record<string, string>> = {
  scandir: "read",
  mkdir: "make",
  lstat: "see",
  stat: "see",
  unlink: "remove",
  rmdir: "remove",
  rename: "move",
};

interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly path?: string;
  readonly dest?: string;
}

function isSystemError(thrown: unknown): thrown is SystemError {
  return (
    thrown instanceof Error &&
    "code" in thrown &&
    typeof thrown.code === "string" &&
    "errno" in thrown
  );
}

/** Whether this is a fault of Kiln's own, which the user can only report. */
export function isFault(error: KilnError): boolean {
  return error.kind === "internal" && error.code === "internal";
}

export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof ExitWith) return thrown.code;
  return isFault(toKilnError(thrown)) ? 2 : 1;
}

/** The lines that say `error`, without a line end. */
export function errorLines(
  error: KilnError,
  options: { readonly debug?: boolean; readonly program?: string } = {},
): string[] {
  const fault = isFault(error);
  const [first = "", ...more] = error.message.split("\n");
  const lines = [
    `kiln: ${fault ? "fault" : "error"}: ${first} [${error.code}]`,
    ...more.map((line) => `  ${line}`),
  ];
  const where = error.at === undefined ? [] : [`at    ${error.at}`];
  const hint = fault ? "kiln --debug … shows where; please report it" : error.hint;
  const shown = asCalled(hint ?? "", options.program ?? "kiln");
  const help = hint === undefined ? [] : [`try   ${shown.replaceAll("\n", "\n        ")}`];
  const source = sourceLines(error);
  const together = [...where, ...help].join("    ");
  const fits = where.length + help.length === 2 && together.length <= 78 && source.length === 0;
  if (fits && !together.includes("\n")) lines.push(`  ${together}`);
  else lines.push(...[...where, ...source, ...help].map((line) => `  ${line}`));
  if (options.debug) lines.push(...stackLines(error));
  return lines;
}

/** The line of a build file with a caret below, and how it came to be run. */
function sourceLines(error: KilnError): string[] {
  if (!(error instanceof EvaluationError)) return [];
  const excerpt = error.excerpt.map((line) => `      ${line.replaceAll("\t", "  ")}`);
  return [...excerpt, ...error.frames.map((frame) => `at    ${frame}`)];
}

function stackLines(error: Error): string[] {
  const lines: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const text = `${lines.length === 0 ? "" : "caused by: "}${cause.stack ?? String(cause)}`;
    lines.push(...text.split("\n").map((line) => `  ${line}`));
  }
  return lines;
}
