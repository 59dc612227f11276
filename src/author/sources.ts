/** Files of the project as store objects: trees as they are, working trees without what does not belong in, texts. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { bytesToString, stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { dumpNar } from "../files/dump.ts";
import type { ContentAddress } from "../format/content-address.ts";
import { Hash, sha256 } from "../format/hash.ts";
import { noReferences, storePathOf } from "../format/path-digest.ts";
import { parsePathInDirectory } from "../format/store-path.ts";
import { context } from "./context.ts";
import { errorCode, Fault, nearest, show } from "./fault.ts";
import { GitIgnore } from "./gitignore.ts";
import { globExpression } from "./glob.ts";
import { fileNar, type StoreItem } from "./item.ts";
import { noInputs } from "./placeholders.ts";
import { callerPlace, type Place } from "./place.ts";
import { isSettled, stampOf, StampCache } from "./stamps.ts";
import { checkName, checkOptions, resolved, wrong, type Subject } from "./strings.ts";
import { SourceValue } from "./values.ts";
import { walk, type Entry, type WalkedEntry } from "./walk.ts";

/** Longest name of a store object. */
export const maxObjectName = 211;

/** A file or folder that a build file named. */
export interface NamedFile {
  /** Absolute. */
  readonly file: string;
  /** `path("./src")`, for messages. */
  readonly label: string;
  readonly place: Place | undefined;
}

export interface PathOptions {
  /** The store object's name; default: the last element of the path. */
  readonly name?: string;
  /** Sees each entry below the root; a refused folder is not entered. */
  readonly filter?: (entry: Entry) => boolean;
}

export interface SourcesOptions {
  /** The store object's name; default: the last element of the path. */
  readonly name?: string;
  /** Only files that one of these patterns matches, or that are in a folder it matches; default: all. */
  readonly include?: readonly string[];
  /** No files or folders that one of these patterns matches. */
  readonly exclude?: readonly string[];
  /** Whether to leave out what `.gitignore` files ignore; default: yes. */
  readonly gitignore?: boolean;
}

/** A tree exactly as it is, but for what the filter refuses. */
export function pathSource(location: string | URL, options: PathOptions = {}): SourceValue {
  const named = locate("path", location);
  checkOptions(named, options, ["name", "filter"], nearest);
  const { filter } = options;
  const name = nameOf(named, options.name);
  return new SourceValue(name, () => {
    const entries = walkNamed(named, filter);
    warnOfPrivate(named, entries);
    return importEntries(named, name, entries);
  });
}

/** A working tree without `.git`, `node_modules` and what git ignores. */
export function workingTree(location: string | URL, options: SourcesOptions = {}): SourceValue {
  const named = locate("sources", location);
  checkOptions(named, options, ["name", "include", "exclude", "gitignore"], nearest);
  if (!lstatSync(named.file).isDirectory()) {
    throw wrong(named, "it is no folder", "path() imports single files");
  }
  const include = options.include && patterns(named, "include", options.include);
  const exclude = patterns(named, "exclude", options.exclude ?? []);
  const gitignore = options.gitignore ?? true;
  const name = nameOf(named, options.name);
  return new SourceValue(name, () => {
    const ignore = gitignore ? new GitIgnore(named.file) : undefined;
    const entries = walkNamed(named, ({ path, type }) => {
      const last = path.slice(path.lastIndexOf("/") + 1);
      if (last === ".git" || last === "node_modules") return false;
      const isFolder = type === "directory";
      if (exclude.some((pattern) => pattern.test(path))) return false;
      if (ignore?.ignores(join(named.file, path), isFolder)) return false;
      return isFolder || include === undefined || include.some((pattern) => inside(pattern, path));
    });
    return importEntries(named, name, withoutEmptyFolders(entries));
  });
}

/** A file with this content. It may refer to other sources. */
export function textSource(name: string, content: string): SourceValue {
  const label = typeof name === "string" ? `text(${show(name)})` : "text()";
  const subject: Subject = { label, place: callerPlace(), inputs: noInputs() };
  checkName(subject, name, maxObjectName);
  if (typeof content !== "string") throw wrong(subject, `its content is ${show(content)}`);
  const bytes = stringToBytes(resolved(subject, content, "its content"));
  const references = referencesOf(subject, "put them into env or attrs of a derivation");
  const ca: ContentAddress = { method: "text", hash: sha256(bytes) };
  const others = references.map(({ path }) => path);
  const path = storePathOf(context().storeDirectory, name, ca, { self: false, others });
  const { place } = subject;
  const item = { path, references, label, place, content: { ca, nar: () => [fileNar(bytes)] } };
  return new SourceValue(name, item);
}

/** An object that is in the store already. */
export function storedObject(text: string): SourceValue {
  const label = `storePath(${show(text)})`;
  const place = callerPlace();
  if (typeof text !== "string") throw wrong({ label, place }, "it is no text");
  const { storeDirectory } = context();
  try {
    const { path, sub } = parsePathInDirectory(storeDirectory, text);
    if (sub !== "")
      throw wrong({ label, place }, "it is inside an object", `storePath("${path}") + "/${sub}"`);
    const item: StoreItem = { path, references: [], label, place, content: undefined };
    return new SourceValue(path.slice(storeDirectory.length + 1 + 33), item);
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw wrong({ label, place }, KilnError.from(error).message);
  }
}

/** A file's text; bytes that are no UTF-8 come as U+DC80 to U+DCFF and go out again as they were. */
export function readTextFile(
  api: string,
  location: string | URL,
): { text: string; named: NamedFile } {
  const named = locate(api, location);
  context().filesRead.add(named.file);
  try {
    return { text: bytesToString(readFileSync(named.file)), named };
  } catch (error) {
    const reason = errorCode(error) === "EISDIR" ? "it is a folder" : String(error);
    throw wrong(named, reason);
  }
}

/** What a build file means by `location`: relative to the file that calls; it must exist. */
export function locate(api: string, location: unknown): NamedFile {
  const place = callerPlace();
  const shown = location instanceof URL ? location.href : location;
  const label = `${api}(${show(shown)})`;
  let file: string;
  if (location instanceof URL) {
    if (location.protocol !== "file:") throw wrong({ label, place }, "it is not the URL of a file");
    file = fileURLToPath(location);
  } else if (typeof location === "string" && location !== "") {
    if (location.startsWith("file:")) {
      throw wrong({ label, place }, "it is a URL as text", "write new URL(…) around it");
    }
    file = resolve(place ? dirname(place.file) : process.cwd(), location);
  } else {
    throw wrong({ label, place }, "it is no path");
  }
  if (!isThere(file)) {
    throw missing(file, typeof location === "string" ? location : file, place);
  }
  return { file, label, place };
}

/** The objects found in a text or tree, which cannot depend on outputs. */
export function referencesOf(subject: Subject, hint: string): readonly StoreItem[] {
  const [output] = subject.inputs.outputs.values();
  if (output !== undefined) {
    throw wrong(
      subject,
      `it refers to an output of ${output.item.label}, which is not built yet`,
      hint,
    );
  }
  return [...subject.inputs.objects.values()];
}

/** The kept entries of a tree, as a store object. */
export function importEntries(
  named: NamedFile,
  name: string,
  entries: readonly WalkedEntry[],
): StoreItem {
  const { file } = named;
  context().filesRead.add(file);
  const kept = new Set(entries.map(({ path }) => path));
  const nar = (): Iterable<Buffer> => dumpNar(file, { filter: ({ path }) => kept.has(path) });
  return readItem({ ...named, key: file, name, entries, nar });
}

/** An object whose bytes are on disk. */
export interface ReadObject {
  readonly label: string;
  readonly place: Place | undefined;
  readonly name: string;
  /** With the name, what its stamp is kept by. */
  readonly key: string;
  /** Everything its NAR is made of, for the stamp. */
  readonly entries: readonly WalkedEntry[];
  readonly nar: () => Iterable<Buffer>;
}

/** The object as an item: read when its stamp is new, and again when the store wants it. */
export function readItem(object: ReadObject): StoreItem {
  const { storeDirectory, cacheDirectory, clock } = context();
  const { label, place, name, key, entries } = object;
  const cache = cacheDirectory === undefined ? undefined : new StampCache(cacheDirectory);
  const stamp = stampOf(entries);
  const before = cache?.read(key, name);
  let hash = before?.stamp === stamp ? before.hash : undefined;
  if (hash === undefined) {
    const walked = clock.now();
    hash = sourceHash(reading(object));
    if (isSettled(entries, walked)) cache?.write(key, name, { stamp, hash });
  }
  const ca: ContentAddress = { method: "recursive", hash };
  const path = storePathOf(storeDirectory, name, ca, noReferences);
  return { path, references: [], label, place, content: { ca, nar: () => reading(object) } };
}

/** The hash in the source address of an object without self references: SHA-256 of its NAR and a closing `|`. */
export function sourceHash(nar: Iterable<Buffer>): Hash {
  const digest = createHash("sha256");
  for (const chunk of nar) digest.update(chunk);
  return Hash.of("sha256", digest.update("|").digest());
}

function* reading({ label, place, nar }: ReadObject): Iterable<Buffer> {
  try {
    yield* nar();
  } catch (error) {
    const { code, message } = KilnError.from(error, "source.unreadable");
    throw new Fault(code, `${label}: ${message}`, { place, cause: error });
  }
}

function walkNamed(named: NamedFile, keep?: (entry: Entry) => boolean): readonly WalkedEntry[] {
  try {
    return walk(named.file, keep);
  } catch (error) {
    if (error instanceof Fault || !(error instanceof KilnError)) throw error;
    throw new Fault(error.code, `${named.label}: ${error.message}`, { place: named.place });
  }
}

function nameOf(named: NamedFile, given: unknown): string {
  const name = given ?? basename(named.file);
  const advice = given === undefined ? 'give it one: { name: "…" }' : undefined;
  checkName(named, name, maxObjectName, advice);
  return name;
}

function patterns(named: NamedFile, option: string, globs: unknown): readonly RegExp[] {
  if (!Array.isArray(globs)) throw wrong(named, `${option} is ${show(globs)}, not a list`);
  return globs.map((glob: unknown) => {
    const where = `${option}: ${show(glob)}`;
    if (typeof glob !== "string" || glob === "") throw wrong(named, `${where} is no pattern`);
    if (glob.startsWith("!")) throw wrong(named, `${where} begins with "!"`, "write it in exclude");
    if (/^(?:\.{0,2}\/|\.\.?$)/.test(glob)) {
      throw wrong(
        named,
        `${where} does not begin with a name`,
        "patterns are relative to the folder",
      );
    }
    try {
      return globExpression(glob.replace(/\/$/, ""), { braces: true });
    } catch (error) {
      throw wrong(named, `${where}: ${KilnError.from(error).message}`);
    }
  });
}

/** Whether the pattern matches the path or a folder it is in. */
function inside(pattern: RegExp, path: string): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    if (pattern.test(path.slice(0, end))) return true;
  }
  return false;
}

/** Folders come before what is in them, so from the end each folder is seen after everything it holds. */
function withoutEmptyFolders(entries: readonly WalkedEntry[]): readonly WalkedEntry[] {
  const needed = new Set<string>([""]);
  const kept: WalkedEntry[] = [];
  for (const entry of entries.toReversed()) {
    if (entry.type === "directory" && !needed.has(entry.path)) continue;
    kept.push(entry);
    needed.add(entry.path.slice(0, Math.max(0, entry.path.lastIndexOf("/"))));
  }
  return kept.toReversed();
}

function warnOfPrivate({ label, place }: NamedFile, entries: readonly WalkedEntry[]): void {
  const found = entries.find(({ path }) =>
    /^(?:\.git|node_modules|\.npmrc|\.env[^/]*)$/.test(path),
  );
  if (found === undefined) return;
  const where = place ? `${relative(process.cwd(), place.file)}:${place.line}: ` : "";
  context().warn(
    `${where}${label} takes ${found.path} along, and everybody can read the store; sources() leaves such things out`,
  );
}

/** Points at the first element of the path that is not there, and at what was probably meant. */
function missing(file: string, written: string, place: Place | undefined): Fault {
  let absent = file;
  while (!existsSync(dirname(absent))) absent = dirname(absent);
  const meant = nearest(basename(absent), namesIn(dirname(absent)));
  const better = meant === undefined ? undefined : written.replace(basename(absent), meant);
  const hint = better === undefined || better === written ? undefined : better;
  return new Fault("file.missing", `no file ${written}`, { hint, place });
}

/** Whether there is a file, folder or symlink, wherever that leads. */
function isThere(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (errorCode(error) === "ENOTDIR") return false;
    throw error;
  }
}

function namesIn(folder: string): readonly string[] {
  return lstatSync(folder).isDirectory() ? readdirSync(folder) : [];
}
