/** From whatever an evaluation threw to what the user is told: message, place, line, and the frames that are the user's. */
import { KilnError } from "../util/kiln-error.ts";
import * as api from "./api.ts";
import { codeOf } from "../util/code-of.ts";
import { Fault, lowerFirst, nearest, show } from "./fault.ts";
import type { Failure, Frame } from "./messages.ts";
import { fileName, isInternal, type Place } from "./place.ts";
import { isBeyondStripping, lineAt, placeOfSyntaxError } from "./syntax.ts";

/** `lastLoaded`: the file that Node was compiling if `thrown` is about syntax. */
export function describeFailure(thrown: unknown, lastLoaded?: string): Failure {
  if (!(thrown instanceof Error)) {
    return withLine({
      ...base,
      code: "author.threw",
      message: `the build file threw ${show(thrown)}`,
    });
  }
  const frames = framesOf(thrown);
  if (thrown instanceof KilnError) {
    const place = thrown instanceof Fault ? thrown.place : undefined;
    const { code, kind, message, hint } = thrown;
    return withLine(
      { ...base, code, kind, message, frames, ...(hint !== undefined && { hint }) },
      place,
    );
  }
  const [innermost] = frames;
  if (innermost === undefined && thrown instanceof SyntaxError) {
    return describeSyntax(thrown, lastLoaded);
  }
  if (innermost === undefined && isOwnFault(thrown)) {
    const message = thrown.stack ?? thrown.message;
    return { ...base, code: "internal", kind: "internal", message };
  }
  const denied = codeOf(thrown) === "ERR_ACCESS_DENIED";
  return withLine(
    {
      ...base,
      code: denied ? "author.denied" : "author.threw",
      message: denied ? deniedMessage(thrown) : messageOf(thrown),
      frames,
      ...hintFor(thrown, innermost),
    },
    innermost,
  );
}

/** More than these are rarely read. */
const maxFrames = 10;

const base = { type: "failure", kind: "input", frames: [] } as const;

function describeSyntax(error: SyntaxError, lastLoaded: string | undefined): Failure {
  const place = placeOfSyntaxError(error, lastLoaded);
  const [, module, name] =
    /^The requested module '(.*)' .* export named '(.*)'$/s.exec(error.message) ?? [];
  if (module !== undefined && name !== undefined) {
    const message = `${show(module)} has no export ${show(name)}`;
    const meant = module === "kiln-store" ? nearest(name, Object.keys(api)) : undefined;
    const failure = { ...base, code: "author.import", message };
    return withLine({ ...failure, ...(meant !== undefined && { hint: `write ${meant}` }) }, place);
  }
  const message = lowerFirst(error.message.replace(/\s+/g, " "));
  const stripped = isBeyondStripping(error, place);
  const hint = "types are only stripped: no enum, namespace, decorator, JSX";
  return withLine({ ...base, code: "author.syntax", message, ...(stripped && { hint }) }, place);
}

function messageOf(error: Error): string {
  const name = error.name === "Error" ? "" : `${error.name}: `;
  return `${name}${error.message}` || "an error without a message";
}

function deniedMessage(error: Error): string {
  const [permission, resource] = [property(error, "permission"), property(error, "resource")];
  const what: Readonly<Record<string, string>> = {
    FileSystemWrite: `write ${resource}`,
    FileSystemRead: `read ${resource}`,
    ChildProcess: "start programs",
    WorkerThreads: "start workers",
    Addon: "load addons",
    Inspector: "use the inspector",
    WASI: "use WASI",
    Net: "use the network",
  };
  return `a build file may not ${what[permission] ?? `do this (${permission})`}`;
}

function hintFor(error: Error, place: Place | undefined): Pick<Failure, "hint"> {
  if (codeOf(error) === "ERR_ACCESS_DENIED") {
    return { hint: "a build file only describes; let a derivation do it" };
  }
  const variable = variableIn(place);
  if (error instanceof TypeError && variable !== undefined) {
    return {
      hint: `process.env is empty here: env(${show(variable)}) reads what --allow-env ${variable} lets it`,
    };
  }
  const [, name] = /^Cannot access '(.*)' before initialization$/.exec(error.message) ?? [];
  if (!(error instanceof ReferenceError) || name === undefined) return {};
  return {
    hint: `move ${name} above this; if it needs this itself, that is a circle, which no build can have`,
  };
}

/** The environment variable that the line reads, if it reads one from where there is none. */
function variableIn(place: Place | undefined): string | undefined {
  const line = place && lineAt(place);
  const [, dotted, quoted] =
    /\bprocess\.env(?:\??\.(\w+)|\[["'](\w+)["']\])/.exec(line ?? "") ?? [];
  return dotted ?? quoted;
}

function property(error: Error, name: string): string {
  const value: unknown = Reflect.get(error, name);
  return typeof value === "string" ? value : "this";
}

function withLine(failure: Failure, place?: Place): Failure {
  if (place === undefined) return failure;
  const { file, line, column } = place;
  const text = lineAt(place);
  // A place that is the innermost frame is not shown twice.
  const frames = failure.frames.filter((frame, i) => i > 0 || !samePlace(frame, place));
  return {
    ...failure,
    frames,
    place: { file, line, column },
    ...(text !== undefined && { line: text }),
  };
}

function samePlace(a: Place, b: Place): boolean {
  return a.file === b.file && a.line === b.line && a.column === b.column;
}

/** Whether Kiln's code failed, more than by loading something that could not be loaded. */
function isOwnFault(error: Error): boolean {
  const modules = (error.stack ?? "").match(/(?<=\(|at )file:\/\/.*?(?=:[0-9]+:[0-9]+)/g) ?? [];
  return modules.some(
    (module) => isInternal(module) && !/\/(?:evaluator|hooks)\.[jt]s$/.test(module),
  );
}

/** The frames of a stack that are the user's or a package's. */
function framesOf(error: Error): Frame[] {
  const frames: Frame[] = [];
  for (const text of (error.stack ?? "").split("\n")) {
    const [, name = "", module = "", line, column] =
      /^ {4}at (?:(.*) \()?((?:file:\/\/)?\/.*?):([0-9]+):([0-9]+)\)?$/.exec(text) ?? [];
    if (module === "" || isInternal(module)) continue;
    frames.push({
      name: name.replace(/^async /, ""),
      file: fileName(module),
      line: Number(line),
      column: Number(column),
    });
  }
  return frames.slice(0, maxFrames);
}
