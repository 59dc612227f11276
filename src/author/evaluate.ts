/**
 * The client's side of an evaluation: starts the child process that runs the build file, checks what it says, and passes its
 * objects on.
 */
import { KilnError } from "../util/kiln-error.ts";
import type { StoreDirectory, StorePath } from "../format/store-path.ts";

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
  /** Where Kiln keeps what it can make again; each project gets a folder of its own in it. */
  readonly cacheDirectory: string;
  readonly signal?: AbortSignal;
}

export interface WantedDerivation {
  /** For people: the target as asked for (`two/dev`), a group's member (`group/key`); of the default export, the derivation's name. */
  readonly name: string;
  readonly drvPath: StorePath;
  /** The one output asked for; all of them when absent. */
  readonly output?: string;
}

export interface ParameterListing {
  readonly name: string;
  readonly kind: "string" | "flag" | "integer" | "choice";
  readonly choices?: readonly string[];
  /** Absent: it must be given. */
  readonly default?: string | number | boolean;
  readonly doc?: string;
}

export interface TargetListing {
  /** Name of the export, `""` for the default one; `group/key` for a member of a group. */
  readonly name: string;
  readonly kind: "derivation" | "output" | "target" | "perSystem" | "group";
  readonly parameters?: readonly ParameterListing[];
  readonly systems?: readonly string[];
}

/** What a build file said, and the still running child that can send its objects. Dispose of it when done. */
export interface Evaluation extends AsyncDisposable {
  readonly wanted: readonly WantedDerivation[];
  /** Every target of the file, in the order of its exports' names, the default one first. */
  targets(): readonly TargetListing[];
  /** The closure of what is wanted, references first. */
  readonly objects: readonly {
    readonly path: StorePath;
    readonly references: readonly StorePath[];
  }[];
  /** Absolute names of the modules that were loaded, without Kiln's own. */
  readonly modules: readonly string[];
  /** Absolute names of the other files and folders that were read. */
  readonly filesRead: readonly string[];
  /**
   * The missing ones of {@link objects} as one export stream, references first, with its closing zero word. Callable once.
   * Throws an {@link EvaluationError} `source.changed` when a source is no longer what was hashed.
   */
  stream(missing: ReadonlySet<StorePath>): AsyncIterable<Buffer>;
}

/** Runs the build file. Throws an {@link EvaluationError} for whatever is wrong in it. */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  throw new KilnError("author.unfinished", `cannot evaluate ${options.file} yet`, {
    kind: "internal",
  });
}
