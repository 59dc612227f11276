/**
 * The client's side of an evaluation: starts the child process that runs the build file, checks what it says, and passes its
 * objects on. A process of its own, because modules cannot be unloaded, an endless loop must be stoppable, and Node's permission
 * switches are per process.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { lstatSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { KilnError } from "../util/kiln-error.ts";
import { exportEnd } from "../format/export-stream.ts";
import { parsePathInDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { EvaluationError, evaluationError } from "./evaluation-error.ts";
import type { TargetListing } from "./listing.ts";
import {
  reportDescriptor,
  streamDescriptor,
  type Failure,
  type Instructions,
  type Plan,
  type Report,
  type Wish,
} from "./messages.ts";
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

/** How long a child that is no longer needed may take to end, in milliseconds. */
const maxLeaveTime = 1000;

/** More than any plan has; a child gone mad shall not fill the memory. */
const maxReportSize = 256 * 1024 * 1024;

const evaluator = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "evaluator.ts" : "evaluator.js", import.meta.url),
);

/**
 * Runs the build file.
 *
 * @throws EvaluationError for whatever is wrong in it; KilnError `file.missing` when there is none
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  options.signal?.throwIfAborted();
  const file = findBuildFile(options.file);
  const cache = projectCache(options.cacheDirectory, dirname(file));
  const child = new Child(file, cache, options.signal);
  try {
    child.tell({
      file,
      targets: options.targets,
      args: options.args,
      storeDirectory: options.storeDirectory,
      env: allowedEnvironment(options.allowEnv),
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
  const stats = statSync(location, { throwIfNoEntry: false });
  if (stats === undefined) throw new KilnError("file.missing", `no file ${location}`);
  // The real name: modules are known by it, and errors must name the same file.
  const found = realpathSync(location);
  if (!stats.isDirectory()) return found;
  const name = buildFileNames.find((candidate) => isFile(join(found, candidate)));
  if (name !== undefined) return realpathSync(join(found, name));
  throw new KilnError("file.missing", `no build file in ${location}`, {
    hint: `write ${buildFileNames[0]}, or name the file`,
  });
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
    this.#child = child;
    this.#listing = plan.targets;
    this.objects = plan.objects.map(({ references }, i) => ({
      path: pathAt(i, i + 1),
      references: references.map((index) => pathAt(index, i)),
    }));
    this.wanted = plan.wanted.map(({ target, name, drvPath, output }) => ({
      target,
      name,
      drvPath: parseObjectPath(directory, drvPath),
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

/** The child process and the lines that go to and fro. */
class Child {
  readonly #process: ChildProcess;
  readonly #reports: AsyncIterator<Report>;
  readonly #closed: Promise<unknown>;
  #planned = false;

  constructor(file: string, cache: string | undefined, signal: AbortSignal | undefined) {
    const switches = [
      "--permission",
      "--allow-fs-read=*",
      ...(cache === undefined ? [] : [`--allow-fs-write=${cache}`]),
      // Node's own words about type stripping are none of the user's business.
      "--disable-warning=ExperimentalWarning",
      "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
    ];
    this.#process = spawn(process.execPath, [...switches, evaluator], {
      cwd: dirname(file),
      env: {
        TZ: "UTC",
        ...(cache !== undefined && { NODE_COMPILE_CACHE: join(cache, "compiled") }),
      },
      // What a build file prints must not mix with results.
      stdio: ["pipe", 2, 2, "pipe", "pipe"],
      ...(signal && { signal, killSignal: "SIGKILL" }),
    });
    // That it could not start, or was killed, shows in that it says nothing.
    this.#process.on("error", () => {});
    this.#process.stdin?.on("error", () => {});
    this.#closed =
      this.#process.exitCode === null ? once(this.#process, "close") : Promise.resolve();
    this.#closed.catch(() => {});
    this.#reports = reportsIn(this.#pipe(reportDescriptor))[Symbol.asyncIterator]();
  }

  tell(message: Instructions | Wish): void {
    this.#process.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  async plan(): Promise<Plan> {
    const report = await this.#report();
    if (report === undefined) throw await this.#silent();
    if (report.type === "failure") throw evaluationError(report);
    this.#planned = true;
    return report;
  }

  async *send(wish: Wish): AsyncGenerator<Buffer> {
    this.tell(wish);
    for await (const chunk of this.#pipe(streamDescriptor)) yield chunk;
    const report = await this.#report();
    if (report?.type === "failure") throw evaluationError(report);
    await this.#closed;
    if (this.#process.exitCode !== 0) throw await this.#silent();
  }

  /** Ends the process whatever it does, and waits for it. */
  async end(): Promise<void> {
    if (this.#process.pid === undefined) return;
    // One that has told its plan ends by itself when nobody listens any more, after putting its cache in order.
    const patience = this.#planned ? maxLeaveTime : 0;
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), patience);
    this.#process.stdin?.destroy();
    for (const descriptor of [reportDescriptor, streamDescriptor]) this.#pipe(descriptor).destroy();
    await this.#closed.catch(() => {});
    clearTimeout(timer);
  }

  async #report(): Promise<Report | undefined> {
    const { value, done } = await this.#reports.next();
    return done === true ? undefined : value;
  }

  async #silent(): Promise<Error> {
    this.#pipe(streamDescriptor).destroy();
    await this.#closed.catch(() => {});
    const { exitCode, signalCode } = this.#process;
    const end =
      signalCode === null ? `ended with status ${exitCode}` : `was killed by ${signalCode}`;
    return new EvaluationError("author.ended", `the evaluation ${end}`);
  }

  #pipe(descriptor: number): Readable {
    const pipe = this.#process.stdio[descriptor];
    if (pipe instanceof Readable) return pipe;
    throw new KilnError("author.ended", "the evaluation could not start", { kind: "internal" });
  }
}

async function* reportsIn(pipe: Readable): AsyncGenerator<Report> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of pipe as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      yield parseReport(Buffer.concat(parts).toString("utf8"));
      parts = [];
      size = 0;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    size += chunk.length;
    if (size > maxReportSize) throw malformed("a report without end");
  }
}

async function* nothing(): AsyncGenerator<Buffer> {
  yield exportEnd();
}

function parseReport(text: string): Report {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    throw malformed("no JSON");
  }
  if (isPlan(report) || isFailure(report)) return report;
  throw malformed("neither a plan nor a failure");
}

function isFailure(value: unknown): value is Failure {
  const { type, code, message, frames } = (value ?? {}) as Partial<Failure>;
  return (
    type === "failure" &&
    typeof code === "string" &&
    typeof message === "string" &&
    Array.isArray(frames)
  );
}

function isPlan(value: unknown): value is Plan {
  const plan = (value ?? {}) as Partial<Plan>;
  const lists = [plan.wanted, plan.targets, plan.objects, plan.modules, plan.filesRead];
  return (
    plan.type === "plan" &&
    lists.every((list) => Array.isArray(list)) &&
    (plan.objects ?? []).every(
      ({ path, references }) => typeof path === "string" && Array.isArray(references),
    ) &&
    (plan.wanted ?? []).every(
      ({ name, drvPath }) => typeof name === "string" && typeof drvPath === "string",
    )
  );
}

function parseObjectPath(directory: StoreDirectory, text: string): StorePath {
  const { path, sub } = parsePathInDirectory(directory, text);
  if (sub !== "") throw malformed("a path inside of an object");
  return path;
}

function malformed(what: string): KilnError {
  return new KilnError("author.plan", `the evaluation told ${what}`, { kind: "internal" });
}

function allowedEnvironment(allowed: readonly string[] | "all"): Record<string, string> {
  const { env } = process;
  const names = allowed === "all" ? Object.keys(env) : allowed;
  return Object.fromEntries(
    names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
}

function isFile(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined && statSync(file).isFile();
}
