/**
 * From what people name to derivations: evaluates build files (each one once), reads derivation files, and sends to the store what
 * it lacks of them.
 */
import { existsSync } from "node:fs";
import { evaluate, type Evaluation, type WantedDerivation } from "../author/evaluate.ts";
import type { Derivation } from "../format/derivation/derivation.ts";
import { derivationNameOf, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { StoreConnection } from "./connection.ts";
import { type DerivationFile, readDerivation } from "./derivation-file.ts";
import { withTargetMeant } from "./meant.ts";
import { type Operand, parseArguments, parseOperand } from "./operands.ts";
import { checkInStore, checkReports, exportOf, missingOf } from "./sending.ts";
import type { Settings } from "./settings.ts";

/** Flags of every command that evaluates build files. */
export interface EvaluationFlags {
  readonly arg?: readonly string[];
  readonly system?: string;
  readonly allowEnv?: readonly string[];
  readonly allowAllEnv?: boolean;
  readonly expression?: boolean;
}

/** While build files run: where to say that it takes long, and what ends it. */
export interface WhileWaiting {
  readonly note: (line: string) => void;
  readonly signal?: AbortSignal;
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
  whileWaiting: WhileWaiting,
): Promise<Wanted> {
  const named = readOperands(operands, flags);
  const targets = targetsByFile(named);
  const common = evaluationOptions(flags, settings, whileWaiting);
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
  { note, signal }: WhileWaiting,
): Omit<Parameters<typeof evaluate>[0], "file" | "targets"> {
  return {
    storeDirectory: settings.directory,
    args: parseArguments(flags.arg ?? []),
    allowEnv: flags.allowAllEnv === true ? "all" : (flags.allowEnv ?? []),
    cacheDirectory: settings.cacheDirectory,
    onSlow: (file, seconds) => note(`still evaluating ${file} (${seconds}s)`),
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
