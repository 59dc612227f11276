/**
 * The client's side of an evaluation: runs the build file in a process of its own, checks what that says, and passes its objects
 * on.
 */
import { accessSync, constants, lstatSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { KilnError } from "../util/kiln-error.ts";
import { remindWhile } from "../util/reminder.ts";
import { attempt } from "../files/file-error.ts";
import { exportEnd } from "../format/export-stream.ts";
import { parsePathInDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { Child, malformed, type Surroundings } from "./child.ts";
import { nearName } from "./evaluation-error.ts";
import type { TargetListing } from "./listing.ts";
import type { Instructions, Plan } from "./messages.ts";
import { projectCache } from "./project-cache.ts";

export type { ParameterListing, TargetListing } from "./listing.ts";

export interface EvaluateOptions {
  /** A build file, or a folder that has one (`kiln.build.ts`, `.mts`, `.js`, `.mjs`). */
  readonly file: string;
  /** What is wanted: `""` is the default export, `two/dev` a part of the target `two`. None: only the listing. */
  readonly targets: readonly string[];
  readonly storeDirectory: StoreDirectory;
  /** Values of parameters, as on the command line: `true` is a flag without a value. */
  readonly args: Readonly<Record<string, string | true>>;
  /** Default: this machine's. */
  readonly system?: string;
  /** Names of environment variables the build file may read, or all. */
  readonly allowEnv: readonly string[] | "all";
  /** Where the variables are taken from; default: this process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Where Kiln keeps what it can make again; each project gets a folder of its own in it. */
  readonly cacheDirectory: string;
  readonly signal?: AbortSignal;
  /** Told more and more seldom, from three seconds on, that the build file still runs; `file` as messages name it. */
  readonly onSlow?: (file: string, seconds: number) => void;
  /** Default: UTC, and no locale. */
  readonly surroundings?: Surroundings;
}

export interface WantedDerivation {
  /** For people: the target as asked for (`two/dev`), a group's member (`group/key`); of the default export, the derivation's name. */
  readonly name: string;
  readonly drvPath: StorePath;
  /** The one output asked for; all of them when absent. */
  readonly output?: string;
  /** The target as asked for: which one of {@link EvaluateOptions.targets} this belongs to. */
  readonly target?: string;
}

/** What a build file said, and the still running child that can send its objects. Dispose of it when done. */
export interface Evaluation extends AsyncDisposable {
  readonly wanted: readonly WantedDerivation[];
  /** Every target of the file, by name, the default one first. */
  targets(): readonly TargetListing[];
  /** The closure of what is wanted, references first. */
  readonly objects: readonly PlannedObject[];
  /** Absolute names of the modules that were loaded, without Kiln's own. */
  readonly modules: readonly string[];
  /** Absolute names of the other files and folders that were read. */
  readonly filesRead: readonly string[];
  /**
   * The missing ones of {@link objects} as one export stream, references first, with its closing zero word. Callable once.
   * Throws an {@link EvaluationError}: `source.changed` when a source is no longer what was hashed, `path.missing` for a
   * `storePath()` that is not in the store.
   */
  stream(missing: ReadonlySet<StorePath>): AsyncIterable<Buffer>;
}

export interface PlannedObject {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
}

/** Names a folder is searched for, the first that is there counts. Its parents are not searched: anybody may write to /tmp. */
const buildFileNames = ["kiln.build.ts", "kiln.build.mts", "kiln.build.js", "kiln.build.mjs"];

/**
 * Runs the build file.
 *
 * @throws EvaluationError for whatever is wrong in it; KilnError `file.missing` when there is none
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  options.signal?.throwIfAborted();
  const file = findBuildFile(options.file);
  const cache = projectCache(options.cacheDirectory, dirname(file));
  const child = new Child(file, cache, options);
  using _reminder = remindWhile((seconds) => options.onSlow?.(nearName(file), seconds));
  try {
    child.tell({
      file,
      shownFile: nearName(file),
      location: options.file,
      targets: options.targets,
      args: options.args,
      storeDirectory: options.storeDirectory,
      ...readableVariables(options.environment ?? process.env, options.allowEnv),
      ...(options.system !== undefined && { system: options.system }),
      ...(cache !== undefined && { cacheDirectory: cache }),
    });
    return new RunningEvaluation(child, await child.plan(), options.storeDirectory);
  } catch (error) {
    await child.end();
    options.signal?.throwIfAborted();
    throw error;
  }
}

/**
 * The build file that a person means by a file or folder.
 *
 * @throws KilnError `file.missing`
 */
export function findBuildFile(location: string): string {
  const stats = attempt("read", location, () => statSync(location, { throwIfNoEntry: false }));
  if (stats === undefined) throw new KilnError("file.missing", `no file ${location}`);
  // The real name: modules are known by it, and errors must name the same file.
  const found = realpathSync(location);
  if (!stats.isDirectory()) return readable(found);
  const name = buildFileNames.find((candidate) => isFile(join(found, candidate)));
  if (name !== undefined) return readable(realpathSync(join(found, name)));
  throw new KilnError("file.missing", `no build file in ${location}`, {
    hint: `kiln init writes ${buildFileNames[0]}; or name the file`,
  });
}

/** The build file, if it can be read: what Node says where it cannot would look like the file's own fault. */
function readable(file: string): string {
  attempt("read", file, () => accessSync(file, constants.R_OK));
  return file;
}

class RunningEvaluation implements Evaluation {
  readonly wanted: readonly WantedDerivation[];
  readonly objects: readonly PlannedObject[];
  readonly modules: readonly string[];
  readonly filesRead: readonly string[];
  readonly #listing: readonly TargetListing[];
  readonly #child: Child;
  #streamed = false;

  constructor(child: Child, plan: Plan, directory: StoreDirectory) {
    const paths = plan.objects.map(({ path }) => parseObjectPath(directory, path));
    const pathAt = (index: number, before: number): StorePath => {
      const path = index < before ? paths[index] : undefined;
      if (path === undefined) throw malformed("a reference to an object that does not come before");
      return path;
    };
    const planned = new Set<string>(paths);
    const plannedPath = (text: string): StorePath => {
      const path = parseObjectPath(directory, text);
      if (planned.has(path)) return path;
      throw malformed("a wanted derivation that is not among the objects");
    };
    this.#child = child;
    this.#listing = plan.targets;
    this.objects = plan.objects.map(({ references }, i) => ({
      path: pathAt(i, i + 1),
      references: references.map((index) => pathAt(index, i)),
    }));
    this.wanted = plan.wanted.map(({ target, name, drvPath, output }) => ({
      target,
      name,
      drvPath: plannedPath(drvPath),
      ...(output !== undefined && { output }),
    }));
    this.modules = plan.modules;
    this.filesRead = plan.filesRead;
  }

  targets(): readonly TargetListing[] {
    return this.#listing;
  }

  stream(missing: ReadonlySet<StorePath>): AsyncIterable<Buffer> {
    if (this.#streamed) throw new Error("the objects of an evaluation are sent once");
    this.#streamed = true;
    const wanted = this.objects.filter(({ path }) => missing.has(path)).map(({ path }) => path);
    return wanted.length === 0 ? nothing() : this.#child.send({ missing: wanted });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end();
  }
}

async function* nothing(): AsyncGenerator<Buffer> {
  yield exportEnd();
}

function parseObjectPath(directory: StoreDirectory, text: string): StorePath {
  const { path, sub } = parsePathInDirectory(directory, text);
  if (sub !== "") throw malformed("a path inside of an object");
  return path;
}

function readableVariables(
  env: Readonly<Record<string, string | undefined>>,
  allowed: readonly string[] | "all",
): Pick<Instructions, "env" | "forbiddenEnv"> {
  const isAllowed = (name: string): boolean => allowed === "all" || allowed.includes(name);
  const names = Object.keys(env).filter((name) => env[name] !== undefined);
  const readable = names.filter(isAllowed).map((name) => [name, env[name] ?? ""]);
  return {
    env: Object.fromEntries(readable),
    forbiddenEnv: names.filter((name) => !isAllowed(name)),
  };
}

function isFile(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined && statSync(file).isFile();
}
