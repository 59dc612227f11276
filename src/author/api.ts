/**
 * What build files import from `kiln-store`.
 *
 * Everything here describes; nothing is written, fetched or built. Faults are thrown at the line of the build file that made them.
 */
import { context, type System } from "./context.ts";
import { describe, type DerivationOptions } from "./describe.ts";
import { Fault, show } from "./fault.ts";
import {
  extractDerivation,
  fetchArchiveDerivation,
  fetchUrlDerivation,
  type ExtractOptions,
  type FetchArchiveOptions,
  type FetchUrlOptions,
} from "./fetch.ts";
import { nodeBuildDerivation, nodeRuntimeSource, type NodeBuildOptions } from "./node-build.ts";
import { installedPackages } from "./packages.ts";
import { choiceParam, ParamValue, type Param } from "./params.ts";
import { readTextFile } from "./named-file.ts";
import { storedObject, textSource } from "./texts.ts";
import { pathSource, workingTree, type PathOptions, type SourcesOptions } from "./sources.ts";
import {
  makePerSystem,
  makeTarget,
  type Buildable,
  type PerSystem,
  type TargetFunction,
} from "./targets.ts";
import { treeSource } from "./tree.ts";
import type { Derivation, DerivationOf, Source } from "./values.ts";
import { isOutputName } from "../format/derivation/derivation.ts";
import { ownPlaceholder } from "../format/derivation/placeholders.ts";

export type { System } from "./context.ts";
export type { DerivationOptions } from "./describe.ts";
export type { ExtractOptions, FetchArchiveOptions, FetchUrlOptions } from "./fetch.ts";
export type { BuildContext, NodeBuildOptions } from "./node-build.ts";
export type { Param } from "./params.ts";
export type { PathOptions, SourcesOptions } from "./sources.ts";
export type { Buildable, PerSystem, TargetFunction } from "./targets.ts";
export type { Derivation, DerivationOf, Output, Printable, Source, Value } from "./values.ts";
export type { Entry } from "./walk.ts";

export { currentSystem } from "./context.ts";

/**
 * A derivation: a builder, its arguments, environment and inputs. Whatever its strings mention (sources, outputs of other
 * derivations) is an input. Equal options give the same derivation.
 *
 * @throws at the caller's line for options that make no derivation
 */
export function derivation<const O extends string = "out">(
  options: DerivationOptions<O>,
): DerivationOf<O>;
export function derivation(options: DerivationOptions<string>): unknown {
  return describe(options);
}

/**
 * Imports exactly what is there, relative to the file that calls: a file, a folder or a symlink, which is kept and not followed.
 * Read when it is first used.
 *
 * @throws at the caller's line when there is no such file, or its name is none for a store object
 */
export function path(path: string | URL, options?: PathOptions): Source {
  return pathSource(path, options);
}

/**
 * Imports a working tree: without `.git` and `node_modules`, without what `.gitignore` files ignore (untracked files count), only
 * what `include` names, not what `exclude` names, without empty folders. In patterns `*` and `?` also match a leading dot.
 *
 * @throws at the caller's line when there is no such folder, or for a bad pattern
 */
export function sources(path: string | URL, options?: SourcesOptions): Source {
  return workingTree(path, options);
}

/** A folder put together from texts, files and trees, by relative path. Texts may refer to sources, sources are copied. */
export function tree(name: string, files: Readonly<Record<string, string | Source>>): Source {
  return treeSource(name, files);
}

/** A file with this content. It may refer to sources and texts, not to outputs: those go into env or attrs. */
export function text(name: string, content: string): Source {
  return textSource(name, content);
}

/** An object that is already in the store. That it is there is checked before the build. */
export function storePath(path: string): Source {
  return storedObject(path);
}

/** Downloads a file, whose hash says what it must be. The URL must not hold a password: everybody can read the store. */
export function fetchUrl(options: FetchUrlOptions): DerivationOf<"out"> {
  return outOf(fetchUrlDerivation(options));
}

/** Unpacks a `.tar`, `.tar.gz`, `.tar.bz2` or `.zip`. */
export function extract(options: ExtractOptions): DerivationOf<"out"> {
  return outOf(extractDerivation(options));
}

/** {@link fetchUrl}, then {@link extract}. */
export function fetchArchive(options: FetchArchiveOptions): DerivationOf<"out"> {
  return outOf(fetchArchiveDerivation(options));
}

/** Where the derivation's own output will be, for use in its args and env. (A shell script finds it in `$out`.) */
export function placeholder(output = "out"): string {
  if (typeof output === "string" && isOutputName(output)) return ownPlaceholder(output);
  throw new Fault("author.option", `placeholder(): ${show(output)} is no name of an output`);
}

/** The text of a file, relative to the file that calls. */
export function readText(path: string | URL): string {
  return readTextFile("readText", path).text;
}

/** The value of a JSON file, relative to the file that calls. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only the caller knows what is in the file
export function readJson<T = unknown>(path: string | URL): T;
export function readJson(path: string | URL): unknown {
  const { text, named } = readTextFile("readJson", path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Fault("author.json", `${named.label}: ${reason}`, { place: named.place });
  }
}

/** An environment variable that the command allows by `--allow-env`, else undefined; of one that is left out so, it is said. */
export function env(name: string): string | undefined {
  const { env: allowed, forbiddenEnv, warn } = context();
  if (forbiddenEnv.delete(name)) {
    warn(`env(${show(name)}) gives nothing: --allow-env ${name} lets build files read it`);
  }
  return allowed.get(name);
}

/** One value for each system; only the one that is wanted is made. */
export function perSystem<const S extends System, T extends Buildable>(
  systems: readonly S[],
  make: (system: S) => T,
): PerSystem<S, T>;
export function perSystem(systems: readonly string[], make: unknown): unknown {
  return makePerSystem(systems, make);
}

/** The kinds of parameters. One without a default must be given. */
export const param: {
  /** Any text: `--arg tag=1.0`. */
  string(byDefault?: string): Param<string>;
  /** `--arg race` or `--arg race=false`. Off unless said otherwise. */
  flag(byDefault?: boolean): Param<boolean>;
  /** A whole number: `--arg level=9`. */
  integer(byDefault?: number): Param<number>;
  /** One of these texts: `--arg os=linux`. */
  choice<const C extends string>(choices: readonly [C, ...C[]], byDefault?: C): Param<C>;
} = {
  string: (byDefault) => new ParamValue("string", byDefault),
  flag: (byDefault = false) => new ParamValue("flag", byDefault),
  integer: (byDefault) => new ParamValue("integer", byDefault),
  choice: choiceParam,
};

/** A target with parameters, given by `--arg NAME=VALUE` or by calling it. */
export function target<P extends Record<string, unknown>, T extends Buildable>(
  params: { [K in keyof P]: Param<P[K]> },
  make: (args: P) => T,
): TargetFunction<P, T>;
export function target(params: unknown, make: unknown): unknown {
  return makeTarget(params, make);
}

/**
 * Installed packages and all they depend on, below `node_modules` in the source. They are looked for in `node_modules` beside and
 * above the file that calls.
 *
 * @throws at the caller's line when one is not installed
 */
export function installed(names: readonly string[]): Source {
  return installedPackages(names);
}

/** The running Node as `bin/node`, with the libraries it needs in `lib`. */
export function nodeRuntime(): Source {
  return nodeRuntimeSource();
}

/**
 * A derivation whose builder is a TypeScript module: its default export is called with a `BuildContext`. It runs on
 * {@link nodeRuntime} and may import what is below its own folder in the store, or from paths in `attrs`; from Kiln only types.
 */
export function nodeBuild<const O extends string = "out">(
  options: NodeBuildOptions<O>,
): DerivationOf<O>;
export function nodeBuild(options: NodeBuildOptions<string>): unknown {
  return nodeBuildDerivation(options);
}

/** The same derivation; its type says that it has the output `out`. */
function outOf(value: Derivation): DerivationOf<"out">;
function outOf(value: unknown): unknown {
  return value;
}
