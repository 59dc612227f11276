/** Where in a file the syntax is wrong: Node does not always say. */
import { readFileSync } from "node:fs";
import module from "node:module";
import vm from "node:vm";
import { codeOf } from "../util/code-of.ts";
import { fileName, type Place } from "./place.ts";

/** The place of the character that `find` gives the offset of; the file's beginning when that is negative. */
export function placeInSource(file: string, find: (source: string) => number): Place | undefined {
  const source = readSource(file);
  if (source === undefined) return undefined;
  const before = source.slice(0, Math.max(0, find(source)));
  const line = before.split("\n").length;
  return { file, line, column: before.length - before.lastIndexOf("\n") };
}

/** The place of a key among the options of a call, of which `call` is the place; the call's own where there is none. */
export function placeOfKey(call: Place, key: string): Place | undefined {
  return placeInSource(call.file, (source) => {
    const lines = source.split("\n").slice(0, call.line - 1);
    const start = lines.join("\n").length + (lines.length > 0 ? 1 : 0) + call.column - 1;
    const escaped = key.replaceAll(/[^\w]/g, "\\$&");
    const written = new RegExp(`(?<![\\w$.])["']?${escaped}["']?\\s*[:,}(]`);
    const found = source.slice(start, endOfCall(source, start)).search(written);
    return start + Math.max(0, found);
  });
}

/** Where the brackets that open behind `start` are closed again. What stands in quotes is passed over. */
function endOfCall(source: string, start: number): number {
  const marks = /(["'`])(?:\\.|(?!\1)[^\\])*\1|[([{]|[)\]}]/gs;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(source); mark !== null; mark = marks.exec(source)) {
    if (/^[([{]$/.test(mark[0])) depth++;
    else if (/^[)\]}]$/.test(mark[0]) && --depth <= 0) return mark.index + 1;
  }
  return source.length;
}

/** The text of one line, without its end. */
export function lineAt({ file, line }: Place): string | undefined {
  return readSource(file)?.split(/\r?\n/)[line - 1];
}

/**
 * The place of a syntax error. Node puts it in front of the stack for some errors; for the others the module that was loaded last
 * is the one, and is parsed again in ways that tell more.
 */
export function placeOfSyntaxError(
  error: Error,
  lastLoaded: string | undefined,
): Place | undefined {
  const told = placeInStack(error.stack ?? "");
  if (told !== undefined) return told;
  if (lastLoaded === undefined) return undefined;
  const source = readSource(lastLoaded);
  if (source === undefined) return undefined;
  const found = placeByStripping(source) ?? placeByScript(source, error.message);
  return { file: lastLoaded, line: found?.line ?? 1, column: found?.column ?? 1 };
}

/** Whether the text at the place is TypeScript that cannot just be left out. */
export function isBeyondStripping(error: Error, place: Place | undefined): boolean {
  if (codeOf(error) === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") return true;
  const line = place && lineAt(place);
  return (
    line !== undefined &&
    /^\s*@\w|<\/?[A-Za-z][^<>]*>|^\s*(?:export\s+)?(?:enum|namespace)\s/.test(line)
  );
}

/**
 *     file:///x/kiln.build.ts:3        or /x/kiln.build.ts:3, or :3
 *     export default foo(a, [b);       one line or more, of which the last is meant
 *                             ^
 */
function placeInStack(stack: string): Place | undefined {
  const [head = "", ...rest] = stack.split("\n");
  const [, name = "", line = ""] = /^(.*):([0-9]+)$/.exec(head) ?? [];
  if (line === "") return undefined;
  const caret = rest.find((text) => /^\s*\^+\s*$/.test(text));
  if (caret === undefined) return undefined;
  return { file: fileName(name), line: Number(line), column: caret.indexOf("^") + 1 };
}

/** Node's type stripper parses everything itself, and shows where it stops. */
function placeByStripping(source: string): Place | undefined {
  try {
    module.stripTypeScriptTypes(source);
    return undefined;
  } catch (error) {
    return error instanceof Error ? placeInStack(error.stack ?? "") : undefined;
  }
}

/** Scripts' errors have a place, so the module is made to look like one; if the error stays the same, so does its place. */
function placeByScript(source: string, message: string): Place | undefined {
  const script = withoutTypes(source)
    .replaceAll(/^(\s*)import\b[^"'();]*["'][^"'\n]*["'][^\n]*/gm, blank)
    .replaceAll(/^(\s*)export\s+\{[^}]*\}[^\n]*/gm, blank)
    .replaceAll(/^export default\b/gm, "void          ")
    .replaceAll(/^export\b/gm, "      ");
  try {
    // Compiled only. What stands before the source lies left of its first column.
    const columnOffset = -opening.length;
    void new vm.Script(`${opening}${script}\n}`, { filename: "module", columnOffset });
    return undefined;
  } catch (error) {
    if (!(error instanceof Error) || error.message !== message) return undefined;
    return placeInStack(error.stack ?? "");
  }
}

const opening = "async () => {";

function withoutTypes(source: string): string {
  try {
    return module.stripTypeScriptTypes(source);
  } catch {
    return source;
  }
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, " ");
}

function readSource(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
