/** Files of the project as store objects: trees as they are, and working trees without what does not belong in. */
import type { Buffer } from "node:buffer";
import { lstatSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { KilnError } from "../util/kiln-error.ts";
import { dumpNar } from "../files/dump.ts";
import { maxNameLength } from "../format/store-path.ts";
import { context } from "./context.ts";
import { Fault, nearest, show } from "./fault.ts";
import { GitIgnore } from "./gitignore.ts";
import { globExpression } from "./glob.ts";
import type { StoreItem } from "./item.ts";
import { locate, type NamedFile } from "./named-file.ts";
import { readItem } from "./read-item.ts";
import { checkName, checkOptions, wrong } from "./strings.ts";
import { SourceValue } from "./values.ts";
import { walk, type Entry, type WalkedEntry } from "./walk.ts";

/** How files become an object. */
export interface PathOptions {
  /** The store object's name; default: the last element of the path. */
  readonly name?: string;
  /** Sees each entry below the root; a refused folder is not entered. */
  readonly filter?: (entry: Entry) => boolean;
}

/** Which files become an object. */
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
    const kept = withoutEmptyFolders(entries);
    if (options.include !== undefined && kept.length <= 1) {
      throw wrong(
        named,
        `nothing there is what include names: ${show(options.include.join(", "))}`,
        'patterns are over the whole path from that folder: "**/*.c" matches below it, too',
      );
    }
    return importEntries(named, name, kept);
  });
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
  checkName(named, name, maxNameLength, advice);
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
