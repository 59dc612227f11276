/**
 * Store directories and store paths.
 *
 * A store path is `<directory>/<digest>-<name>`: 32 base 32 characters, a dash and a name. Both types are branded strings that
 * only the functions here make, in cleaned form, so whoever holds one need not check it again.
 *
 * A path that begins with `/` is POSIX style, any other absolute one is Windows style; that is told from the text and not from
 * the host. No function here touches the file system.
 */
import { KilnError } from "../util/kiln-error.ts";
import { cleanWindowsPath, isAbsoluteWindowsPath } from "./windows-path.ts";

declare const brand: unique symbol;

/** A clean absolute path of the directory that holds store objects. */
export type StoreDirectory = string & { readonly [brand]: "StoreDirectory" };

/** A clean absolute path of a store object, directory included. */
export type StorePath = string & { readonly [brand]: "StorePath" };

/** zb's store directory on Unix. */
export const defaultStoreDirectory: StoreDirectory = parseStoreDirectory("/opt/zb/store");

/** Length in characters of the digest in an object name. */
export const digestLength = 32;

/** The most bytes the name part of an object may have. */
export const maxNameLength = 211;

const objectName = /^[0-9a-df-np-sv-z]{32}-[a-zA-Z0-9+\-._=]{1,211}$/;

/**
 * A store directory, cleaned.
 *
 * @throws KilnError `path.invalid` when `text` is not absolute.
 */
export function parseStoreDirectory(text: string): StoreDirectory {
  const directory = clean(text, "store directory");
  assertDirectory(directory);
  return directory;
}

/**
 * A store path in any directory: the last element is the object name, everything before it the directory.
 *
 * @throws KilnError `path.invalid` when `text` is not absolute or its last element not an object name.
 */
export function parseStorePath(text: string): StorePath {
  const path = clean(text, "store path");
  assertStorePath(path, text);
  return path;
}

/**
 * The store path in `directory` that `text` is or is inside of, and the place inside it: elements joined by `/`, empty for the
 * object itself. As in zb, nothing is inside a directory that ends in a separator (`/`, `C:\`).
 *
 * @throws KilnError `path.invalid`
 */
export function parsePathInDirectory(
  directory: StoreDirectory,
  text: string,
): { path: StorePath; sub: string } {
  const whole = clean(text, "store path");
  const separator = separatorOf(directory);
  const prefix = directory + separator;
  if (!whole.startsWith(prefix)) throw invalid(text, `it is not inside ${directory}`);
  const found = whole.indexOf(separator, prefix.length);
  const end = found === -1 ? whole.length : found;
  const path = whole.slice(0, end);
  assertStorePath(path, text);
  const sub = whole.slice(end + 1);
  return { path, sub: separator === "/" ? sub : sub.replaceAll(separator, "/") };
}

/**
 * The object of this name (`<digest>-<name>`) in `directory`.
 *
 * @throws KilnError `path.invalid` when the name is not an object's.
 */
export function storePathFor(directory: StoreDirectory, name: string): StorePath {
  const separator = separatorOf(directory);
  const path = directory.endsWith(separator) ? directory + name : directory + separator + name;
  assertStorePath(path, name, name);
  return path;
}

/** The elements appended to `directory` and cleaned; empty ones count for nothing. */
export function joinPath(directory: StoreDirectory, ...elements: readonly string[]): string {
  return clean([directory, ...elements].join(separatorOf(directory)), "path");
}

/** The directory that `path` is in. */
export function directoryOf(path: StorePath): StoreDirectory {
  const end = lastSeparator(path);
  // The separator belongs to a root: `/`, `C:\`, `\\server\share\`.
  const isRoot = path.startsWith("/")
    ? end === 0
    : cleanWindowsPath(path.slice(0, end + 1)).endsWith("\\");
  const directory = path.slice(0, isRoot ? end + 1 : end);
  assertDirectory(directory);
  return directory;
}

/** `<digest>-<name>`: the path without its directory. */
export function objectNameOf(path: StorePath): string {
  return path.slice(lastSeparator(path) + 1);
}

/** The 32 base 32 characters that begin the object name. */
export function digestOf(path: StorePath): string {
  const start = lastSeparator(path) + 1;
  return path.slice(start, start + digestLength);
}

/** The object name after digest and dash. */
export function nameOf(path: StorePath): string {
  return path.slice(lastSeparator(path) + 1 + digestLength + 1);
}

/** Whether the name ends in `.drv`. */
export function isDerivationPath(path: StorePath): boolean {
  return path.endsWith(".drv");
}

/** The name without `.drv`; the whole name when it does not end so. */
export function derivationNameOf(path: StorePath): string {
  const name = nameOf(path);
  return name.endsWith(".drv") ? name.slice(0, -".drv".length) : name;
}

/** `posix` for paths that begin with `/`, else `windows`. A server can only serve directories of its host's style. */
export function pathStyle(path: StoreDirectory | StorePath): "posix" | "windows" {
  return path.startsWith("/") ? "posix" : "windows";
}

function separatorOf(directory: StoreDirectory): "/" | "\\" {
  return directory.startsWith("/") ? "/" : "\\";
}

function lastSeparator(path: string): number {
  return path.lastIndexOf(path.startsWith("/") ? "/" : "\\");
}

function clean(text: string, noun: string): string {
  if (text.startsWith("/")) return cleanPosixPath(text);
  if (isAbsoluteWindowsPath(text)) return cleanWindowsPath(text);
  throw new KilnError("path.invalid", `${noun} ${show(text)} is not absolute`);
}

function cleanPosixPath(path: string): string {
  // Only an empty, `.` or `..` element makes a path unclean; most paths have none.
  if (!/\/\.{0,2}(?:\/|$)/.test(path)) return path;
  const elements: string[] = [];
  for (const element of path.split("/")) {
    if (element === "..") elements.pop();
    else if (element !== "" && element !== ".") elements.push(element);
  }
  return `/${elements.join("/")}`;
}

/** Only cleaned texts come here: that makes them directories. */
function assertDirectory(_cleaned: string): asserts _cleaned is StoreDirectory {}

/** `path` is cleaned; its last element must be an object name. `text` is what the caller was given. */
function assertStorePath(
  path: string,
  text: string,
  name: string = path.slice(lastSeparator(path) + 1),
): asserts path is StorePath {
  if (!objectName.test(name)) throw invalid(text, faultOfObjectName(name));
}

function faultOfObjectName(name: string): string {
  if (name.length < digestLength + 2) return `object name ${show(name)} is too short`;
  if (!/^[0-9a-df-np-sv-z]{32}/.test(name)) {
    return `object name ${show(name)} does not begin with a digest of 32 base 32 characters`;
  }
  if (name[digestLength] !== "-") return `object name ${show(name)} has no dash after its digest`;
  const illegal = /[^a-zA-Z0-9+\-._=]/u.exec(name);
  if (illegal !== null)
    return `object name ${show(name)} has the illegal character ${show(illegal[0])}`;
  return `its name is longer than ${maxNameLength} bytes`;
}

function invalid(text: string, reason: string): KilnError {
  return new KilnError("path.invalid", `${show(text)} is not a store path: ${reason}`);
}

function show(text: string): string {
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);
}
