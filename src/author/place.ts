/** Where in a build file something was asked for. */
import { fileURLToPath } from "node:url";

export interface Place {
  /** Absolute name of the file. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Kiln's own modules lie here (`src/` or `dist/`). Its tests play users and count as such. */
const kiln = new URL("../", import.meta.url).href;

/** Whether a module (by its URL or file name) is part of Kiln or of Node, so that nobody's build file is in it. */
export function isInternal(module: string): boolean {
  if (module.startsWith("node:")) return true;
  const url = module.startsWith("/") ? `file://${module}` : module;
  return url.startsWith(kiln) && !/\.test\.[jt]s$/.test(url);
}

/** The innermost call outside Kiln, as the stack is now; undefined when there is none (a REPL, evaluated text). */
export function callerPlace(): Place | undefined {
  for (const site of callSites()) {
    const module = site.getFileName();
    if (typeof module !== "string" || isInternal(module)) continue;
    return {
      file: fileName(module),
      line: site.getLineNumber() ?? 1,
      column: site.getColumnNumber() ?? 1,
    };
  }
  return undefined;
}

/** File name or URL of the function that called the caller; undefined for code without a file. */
export function callerModule(caller: (...args: never[]) => unknown): string | undefined {
  return callSites(caller)[0]?.getFileName() ?? undefined;
}

/** `file:line:column` */
export function printPlace(place: Place): string {
  return `${place.file}:${place.line}:${place.column}`;
}

/** The file a stack frame is in, which modules give as a URL. */
export function fileName(module: string): string {
  return module.startsWith("file:") ? fileURLToPath(module) : module;
}

function callSites(below: (...args: never[]) => unknown = callerPlace): NodeJS.CallSite[] {
  const { stackTraceLimit } = Error;
  const formatter: unknown = Reflect.get(Error, "prepareStackTrace");
  let sites: NodeJS.CallSite[] = [];
  Error.prepareStackTrace = (_error, found) => {
    sites = found;
    return "";
  };
  Error.stackTraceLimit = 24;
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, below);
  void holder.stack; // V8 calls prepareStackTrace when the property is read.
  Reflect.set(Error, "prepareStackTrace", formatter);
  Error.stackTraceLimit = stackTraceLimit;
  return sites;
}
