/**
 * Installed npm packages as a source.
 *
 * How npm spreads packages over `node_modules` folders depends on the order of installing and on what else is installed. Here only
 * the packages and what they depend on count: each goes to the top unless another version is there already, else below the one
 * that wants it, breadth first, names in byte order. Node then finds for every package what it found in the project.
 */
import { readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { compareBytes } from "../util/byte-string.ts";
import { dumpNar } from "../files/dump.ts";
import { context } from "./context.ts";
import { Fault, show } from "./fault.ts";
import { callerPlace, type Place } from "./place.ts";
import { readItem } from "./read-item.ts";
import { narOf, type Folder } from "./tree.ts";
import { SourceValue } from "./values.ts";
import { walk, type WalkedEntry } from "./walk.ts";

/** A package on disk. */
interface Package {
  /** The name it is imported by. */
  readonly name: string;
  /** Its own name and version: what makes it the same as one installed elsewhere. */
  readonly identity: string;
  readonly folder: string;
  readonly manifest: Manifest;
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** A package where it will be, with the packages in its own `node_modules`; without a package: the top. */
interface Placed {
  readonly package: Package | undefined;
  readonly parent: Placed | undefined;
  readonly modules: Map<string, Placed>;
}

/** The packages that the calling file sees, with all they depend on. */
export function installedPackages(names: readonly string[]): SourceValue {
  const place = callerPlace();
  return installedIn(names, place ? dirname(place.file) : process.cwd(), place);
}

/** The packages that a file in the folder `from` sees. */
export function installedIn(
  names: readonly string[],
  from: string,
  place: Place | undefined,
): SourceValue {
  const label = "installed()";
  if (!Array.isArray(names) || names.length === 0) {
    const problem = Array.isArray(names)
      ? "no package is named"
      : `${show(names)} is no list of names`;
    throw new Fault("author.option", `${label}: ${problem}`, { place });
  }
  const top: Placed = { package: undefined, parent: undefined, modules: new Map() };
  const wanted = names
    .map((name: unknown) => find(name, from, place))
    .toSorted((a, b) => compareBytes(a.name, b.name));
  arrange(top, wanted, place);
  return new SourceValue("node_modules", () => {
    const entries: WalkedEntry[] = [];
    const modules = folderOf(top, "node_modules", entries);
    const root: Folder = new Map([["node_modules", modules]]);
    const key = `installed ${wanted.map(({ folder }) => folder).join(" ")}`;
    return readItem({ label, place, name: "node_modules", key, entries, nar: () => narOf(root) });
  });
}

function find(name: unknown, from: string, place: Place | undefined): Package {
  if (typeof name !== "string" || !/^(?:@[^/\s]+\/)?[^./@\s][^/\s]*$/.test(name)) {
    throw new Fault("author.option", `installed(): ${show(name)} is no package's name`, { place });
  }
  const found = lookUp(name, from);
  if (found !== undefined) return found;
  throw new Fault(
    "author.package",
    `installed(): there is no package ${show(name)} beside or above ${from}`,
    {
      place,
      hint: `npm install ${name}; called within a target(), it would be asked for by that target alone`,
    },
  );
}

/** The package that Node finds for `name` from a file in `from`. */
function lookUp(name: string, from: string): Package | undefined {
  for (let at = from; ; at = dirname(at)) {
    const manifest = readManifest(join(at, "node_modules", name, "package.json"));
    if (manifest !== undefined) {
      const folder = realpathSync(join(at, "node_modules", name));
      const identity = `${manifest.name ?? name}@${manifest.version ?? ""}`;
      return { name, identity, folder, manifest };
    }
    if (at === dirname(at)) return undefined;
  }
}

function readManifest(file: string): Manifest | undefined {
  try {
    const manifest: Manifest = JSON.parse(readFileSync(file, "utf8"));
    return manifest;
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Fault("author.package", `installed(): ${file} is not JSON: ${error.message}`);
    }
    return undefined;
  }
}

function arrange(top: Placed, wanted: readonly Package[], place: Place | undefined): void {
  const queue: Placed[] = [];
  const put = (found: Package, into: Placed): void => {
    const placed: Placed = { package: found, parent: into, modules: new Map() };
    into.modules.set(found.name, placed);
    queue.push(placed);
  };
  for (const found of wanted) if (!top.modules.has(found.name)) put(found, top);
  for (let placed = queue.shift(); placed !== undefined; placed = queue.shift()) {
    for (const needed of dependenciesOf(placed, place)) {
      const visible = visibleFrom(placed, needed.name);
      if (visible === undefined) put(needed, top);
      else if (visible.identity !== needed.identity) put(needed, placed);
    }
  }
}

/** What Node would find for `name` in this arrangement. */
function visibleFrom(placed: Placed, name: string): Package | undefined {
  for (let at: Placed | undefined = placed; at !== undefined; at = at.parent) {
    const found = at.modules.get(name);
    if (found !== undefined) return found.package;
  }
  return undefined;
}

/** The packages that this one asks for and that are there; those it must have, must be. */
function dependenciesOf({ package: of }: Placed, place: Place | undefined): Package[] {
  if (of === undefined) return [];
  const { dependencies, optionalDependencies, peerDependencies } = of.manifest;
  const optional = { ...optionalDependencies, ...peerDependencies };
  const names = new Set([...Object.keys(dependencies ?? {}), ...Object.keys(optional)]);
  return [...names].toSorted(compareBytes).flatMap((name) => {
    const found = lookUp(name, of.folder);
    if (found !== undefined) return found;
    if (Object.hasOwn(optional, name)) return [];
    const problem = `installed(): ${of.identity} needs ${show(name)}, which is not installed`;
    throw new Fault("author.package", problem, { place, hint: "npm install" });
  });
}

/** The `node_modules` folder of `placed`, and everything in it added to `entries`. */
function folderOf(placed: Placed, prefix: string, entries: WalkedEntry[]): Folder {
  const folder: Folder = new Map();
  for (const [name, child] of placed.modules) {
    const found = child.package;
    if (found === undefined) continue;
    const content: Folder = new Map();
    const at = `${prefix}/${name}`;
    for (const entry of walk(found.folder, ({ path }) => !isForeign(path))) {
      entries.push({ ...entry, path: `${at}/${entry.path}` });
      if (entry.path === "" || entry.path.includes("/")) continue;
      content.set(entry.path, { nar: () => dumpNar(join(found.folder, entry.path)) });
    }
    if (child.modules.size > 0) {
      content.set("node_modules", folderOf(child, `${at}/node_modules`, entries));
    }
    context().filesRead.add(join(found.folder, "package.json"));
    const [scope, base] = name.split("/");
    if (scope !== undefined && base !== undefined) scopeIn(folder, scope).set(base, content);
    else folder.set(name, content);
  }
  return folder;
}

/** Packages that are packages of their own, and the history of one that is linked to its working tree. */
function isForeign(path: string): boolean {
  return path === "node_modules" || path === ".git";
}

function scopeIn(folder: Folder, scope: string): Folder {
  const existing = folder.get(scope);
  if (existing instanceof Map) return existing;
  const made: Folder = new Map();
  folder.set(scope, made);
  return made;
}
