import { KilnError } from "../util/kiln-error.ts";

/** Errors of the system that are worth a code of their own. */
const codes: Readonly<Record<string, string>> = {
  ENOSPC: "disk.full",
  EDQUOT: "disk.full",
  EEXIST: "file.exists",
  ENOENT: "file.missing",
  ENAMETOOLONG: "file.pathTooLong",
  EACCES: "file.denied",
  EPERM: "file.denied",
  EROFS: "disk.readOnly",
  EMFILE: "process.descriptors",
  ENFILE: "process.descriptors",
  ENOMEM: "process.memory",
};

/** What to do about `disk.full`, on whatever disk it is. */
export const spaceHint =
  "make space on that disk and try again; kiln gc --dry-run says what the store can spare";

/**
 * What `fs` threw while trying to `verb` (open, read, remove …) the file at `path`, as a KilnError of kind `internal` with a code
 * `file.…` or `disk.…`, the path a person knows, and the original as its cause.
 */
export function fileError(verb: string, path: string, thrown: unknown): KilnError {
  if (thrown instanceof KilnError) return thrown;
  const errno = errorCode(thrown);
  if (errno === undefined) return KilnError.from(thrown);
  const code = codes[errno] ?? "disk.io";
  return new KilnError(code, `cannot ${verb} ${path}: ${reason(thrown)}`, {
    kind: "internal",
    path,
    cause: thrown,
    ...(code === "disk.full" ? { hint: spaceHint } : {}),
  });
}

/** Runs a call of `fs`; what it throws tells the path a person knows, not one of a descriptor. */
export function attempt<T>(verb: string, path: string | (() => string), call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    throw fileError(verb, typeof path === "string" ? path : path(), thrown);
  }
}

/** The system's name for an error (`ENOENT`), looked for in the causes, too. */
export function errorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if ("code" in thrown && "errno" in thrown && typeof thrown.code === "string") return thrown.code;
  return errorCode(thrown.cause);
}

/** Node's message without the path, which may be that of a descriptor: `ENOENT: no such file or directory`. */
function reason(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.replace(/, \w+(?: '.*)?$/s, "");
}
