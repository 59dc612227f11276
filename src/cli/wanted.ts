/**
 * From what people name to derivations: evaluates build files (each one once), reads derivation files, and sends to the store what
 * it lacks of them.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { evaluate, type Evaluation, type WantedDerivation } from "../author/evaluate.ts";
import type { Derivation } from "../format/derivation/derivation.ts";
import { parseDerivation } from "../format/derivation/parse.ts";
import { derivationObject } from "../format/derivation/print.ts";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { NarWriter } from "../format/nar/writer.ts";
import {
  derivationNameOf,
  directoryOf,
  objectNameOf,
  parsePathInDirectory,
  type StoreDirectory,
  type StorePath,
} from "../format/store-path.ts";
import type { StoreClient } from "../rpc/client.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { StoreConnection } from "./connection.ts";
import { withTargetMeant } from "./meant.ts";
import { type Operand, parseArguments, parseOperand } from "./operands.ts";
import type { Settings } from "./settings.ts";

/** Flags of every command that evaluates build files. */
export interface EvaluationFlags {
  readonly arg?: readonly string[];
  readonly system?: string;
  readonly allowEnv?: readonly string[];
  readonly allowAllEnv?: boolean;
  readonly expression?: boolean;
}

/** A derivation that is not yet known to be in the store. */
interface DerivationFile {
  /** In the store directory already; then what it says is looked at when the store is open. */
  readonly inStore: boolean;
  readonly path: StorePath;
  readonly derivation: Derivation | undefined;
}

/** What was named, as derivations, in the order in which it was named. Dispose of it to end the evaluations. */
export class Wanted implements AsyncDisposable {
  readonly directory: StoreDirectory;
  readonly derivations: readonly WantedDerivation[];
  readonly #evaluations: readonly Evaluation[];
  readonly #files: readonly DerivationFile[];

  constructor(
    directory: StoreDirectory,
    derivations: readonly WantedDerivation[],
    evaluations: readonly Evaluation[],
    files: readonly DerivationFile[],
  ) {
    this.directory = directory;
    this.derivations = derivations;
    this.#evaluations = evaluations;
    this.#files = files;
  }

  /** Derivations that were read from files outside of the store. */
  get read(): ReadonlyMap<StorePath, Derivation> {
    const entries = this.#files.map(({ path, derivation }) => [path, derivation] as const);
    return new Map(
      entries.filter((entry): entry is [StorePath, Derivation] => entry[1] !== undefined),
    );
  }

  get evaluations(): readonly Evaluation[] {
    return this.#evaluations;
  }

  /**
   * Makes the store have everything that the derivations need to be built.
   *
   * @throws KilnError `store.missing` for a derivation that is not in the store, `drv.…` for one that is none, `import.rejected`,
   * and what the evaluation says of sources that changed meanwhile
   */
  async send(connection: StoreConnection): Promise<void> {
    const { client } = connection;
    for (const evaluation of this.#evaluations) {
      const missing = await missingOf(
        connection,
        evaluation.objects.map((object) => object.path),
      );
      if (missing.size > 0) await client.importStream(evaluation.stream(missing));
    }
    for (const file of this.#files) {
      if (file.inStore) await checkInStore(connection, file.path);
      else if (file.derivation !== undefined) await client.importStream(exportOf(file.derivation));
    }
    if (connection.hello === undefined) await client.barrier();
    else await checkReports(client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const evaluation of this.#evaluations) await evaluation[Symbol.asyncDispose]();
  }
}

/** What the operands name; no operand is the build file of this folder. */
export async function findWanted(
  operands: readonly string[],
  flags: EvaluationFlags,
  settings: Settings,
  signal?: AbortSignal,
): Promise<Wanted> {
  const named = readOperands(operands, flags);
  const targets = targetsByFile(named);
  const common = evaluationOptions(flags, settings, signal);
  const outcomes = await Promise.allSettled(
    [...targets].map(([file, names]) => evaluate({ ...common, file, targets: [...names] })),
  );
  const evaluations = outcomes.flatMap((outcome) =>
    outcome.status === "fulfilled" ? [outcome.value] : [],
  );
  try {
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") continue;
      throw await withTargetMeant(outcome.reason, [...targets.keys()][at] ?? "", common);
    }
    const found = new Map(
      [...targets].map(([file, names], at) => [
        file,
        byTarget([...names], evaluations[at]?.wanted ?? []),
      ]),
    );
    const files: DerivationFile[] = [];
    const derivations = named.flatMap((operand) => {
      if (operand.type === "target") return found.get(operand.file)?.get(operand.target) ?? [];
      const file = readDerivation(operand.path, settings);
      files.push(file);
      return [{ name: derivationNameOf(file.path), drvPath: file.path }];
    });
    return new Wanted(settings.directory, derivations, evaluations, files);
  } catch (error) {
    for (const evaluation of evaluations) await evaluation[Symbol.asyncDispose]();
    throw error;
  }
}

/** @throws KilnError `usage.expression` for zb's Lua */
export function readOperands(operands: readonly string[], flags: EvaluationFlags): Operand[] {
  if (flags.expression === true) {
    throw new KilnError("usage.expression", "kiln evaluates build files, not Lua expressions", {
      hint: "zb build -e … works with the daemon of kiln serve",
    });
  }
  return (operands.length === 0 ? ["."] : operands).map((text) => parseOperand(text, existsSync));
}

/** The targets that are wanted of each build file: a file is evaluated once, whatever is wanted of it. */
export function targetsByFile(named: readonly Operand[]): Map<string, Set<string>> {
  const targets = new Map<string, Set<string>>();
  for (const operand of named) {
    if (operand.type !== "target") continue;
    const names = targets.get(operand.file) ?? new Set();
    targets.set(operand.file, names.add(operand.target));
  }
  return targets;
}

export function evaluationOptions(
  flags: EvaluationFlags,
  settings: Settings,
  signal?: AbortSignal,
): Omit<Parameters<typeof evaluate>[0], "file" | "targets"> {
  return {
    storeDirectory: settings.directory,
    args: parseArguments(flags.arg ?? []),
    allowEnv: flags.allowAllEnv === true ? "all" : (flags.allowEnv ?? []),
    cacheDirectory: settings.cacheDirectory,
    ...(flags.system === undefined ? {} : { system: flags.system }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/**
 * Which derivations belong to which target. They come in the targets' order; a group's are named `group/member`, the default
 * target's may be named anything.
 */
export function byTarget(
  targets: readonly string[],
  wanted: readonly WantedDerivation[],
): ReadonlyMap<string, readonly WantedDerivation[]> {
  const lists = new Map<string, WantedDerivation[]>(targets.map((target) => [target, []]));
  let at = 0;
  for (const derivation of wanted) {
    const [current = "", next] = targets.slice(at, at + 2);
    const begun = (lists.get(current)?.length ?? 0) > 0;
    if (
      begun &&
      next !== undefined &&
      (current === "" ? isOf(derivation, next) : !isOf(derivation, current))
    )
      at++;
    lists.get(targets[at] ?? "")?.push(derivation);
  }
  return lists;
}

function isOf({ name }: WantedDerivation, target: string): boolean {
  return target === "" || name === target || name.startsWith(`${target}/`);
}

/** A derivation's file: by its path in the store, or from anywhere else. */
function readDerivation(file: string, settings: Settings): DerivationFile {
  const { directory } = settings;
  const path = resolve(file);
  const place = placeInStore(settings, path);
  if (place !== undefined) return { inStore: true, path: place, derivation: undefined };
  const name = basename(path, ".drv").replace(/^[0-9a-df-np-sv-z]{32}-/, "");
  const derivation = parseNamed(directory, name, file, readFileSync(path));
  return { inStore: false, path: derivationObject(derivation).path, derivation };
}

function placeInStore(settings: Settings, path: string): StorePath | undefined {
  const { directory, realDirectory } = settings;
  const logical = path.startsWith(`${realDirectory}/`)
    ? directory + path.slice(realDirectory.length)
    : path;
  if (!logical.startsWith(`${directory}/`)) return undefined;
  const { path: object, sub } = parsePathInDirectory(directory, logical);
  if (sub === "") return object;
  throw new KilnError("path.invalid", `${path} is inside a store object`, { path });
}

/** As parseDerivation, with the file's name in what is thrown. */
export function parseNamed(
  directory: StoreDirectory,
  name: string,
  file: string,
  text: Uint8Array,
): Derivation {
  try {
    return parseDerivation(directory, name, text);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw new KilnError(error.code, `${basename(file)}: ${error.message}`, {
      path: file,
      cause: error,
    });
  }
}

/** A derivation that was named by its store path has to be there, and to be one. */
async function checkInStore(connection: StoreConnection, path: StorePath): Promise<void> {
  const { info } = await connection.client.call("zb.info", { path });
  if (info === null) throw new KilnError("store.missing", `${path} is not in the store`, { path });
  const real = connection.hello?.realStoreDirectory;
  if (real === undefined) return;
  let text;
  try {
    text = readFileSync(join(real, objectNameOf(path)));
  } catch {
    return; // Not ours to read: then the daemon will say what is wrong with it.
  }
  parseNamed(directoryOf(path), derivationNameOf(path), path, text);
}

/** How many paths go into one question: a message has at most 1 MiB. */
const pathsPerQuestion = 2000;

async function missingOf(
  connection: StoreConnection,
  paths: readonly StorePath[],
): Promise<Set<StorePath>> {
  const { client, hello } = connection;
  const missing = new Set<StorePath>();
  for (let at = 0; at < paths.length; at += pathsPerQuestion) {
    const some = paths.slice(at, at + pathsPerQuestion);
    const answer =
      hello === undefined
        ? await absentIn(client, some)
        : await client.call("kiln.missing", { paths: some });
    for (const path of answer.missing) missing.add(path);
  }
  return missing;
}

/** The same question to zb's daemon, which knows it for one path at a time. */
async function absentIn(
  client: StoreClient,
  paths: readonly StorePath[],
): Promise<{ missing: readonly StorePath[] }> {
  const infos = await Promise.all(paths.map((path) => client.call("zb.info", { path })));
  return { missing: paths.filter((_, at) => infos[at]?.info === null) };
}

/** @throws KilnError `import.rejected` with the first object that the store did not take */
export async function checkReports(client: StoreClient): Promise<void> {
  const { reports } = await client.call("kiln.importReport", {});
  const rejected = reports.filter((report) => report.status === "rejected");
  const [first] = rejected;
  if (first === undefined) return;
  const more = rejected.length > 1 ? ` (and ${rejected.length - 1} more)` : "";
  throw new KilnError(
    first.code ?? "import.rejected",
    `the store refused ${first.storePath}: ${first.message ?? "no reason given"}${more}`,
    { path: first.storePath, ...(first.hint === undefined ? {} : { hint: first.hint }) },
  );
}

/** The export stream of one derivation. */
function exportOf(derivation: Derivation): Buffer[] {
  const { path, contents, ca, references } = derivationObject(derivation);
  const chunks: Buffer[] = [exportObjectHeader()];
  const nar = new NarWriter((chunk) => chunks.push(Buffer.from(chunk)));
  nar.file("", false, contents.length);
  nar.data(contents);
  nar.endFile();
  nar.end();
  chunks.push(exportTrailer({ storePath: path, references, deriver: "", ca }), exportEnd());
  return chunks;
}
