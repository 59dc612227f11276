import type { Derivation } from "../format/derivation/derivation.ts";
import {
  expandDerivation,
  inputPlaceholder,
  ownPlaceholder,
} from "../format/derivation/placeholders.ts";
import { temporaryOutputPath } from "../format/path-digest.ts";
import type { StorePath } from "../format/store-path.ts";
import type { ExpansionMessage } from "../rpc/protocol.ts";
import type { Choices } from "./choices.ts";
import { builderEnvironment } from "./environment.ts";
import { fixedOutput } from "./plan.ts";
import type { Workshop } from "./workshop.ts";

/** A derivation whose builder is not started but shown. */
export interface Expand {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
  /** What is to stand for the build directory. */
  readonly tempDir: string;
}

/** How the builder would be started, now that the inputs are there. */
export function expansionOf(
  { drvPath, derivation, tempDir }: Expand,
  choices: Choices,
  { store, coresPerBuild }: Workshop,
): ExpansionMessage {
  const { builder, args, env } = expandDerivation(
    derivation,
    replacementsFor(derivation, choices, outputPaths(drvPath, derivation)),
  );
  const whole = builderEnvironment(env, {
    workDirectory: tempDir,
    storeDirectory: store.directory,
    cores: coresPerBuild,
  });
  return { builder, args, env: Object.fromEntries(whole) };
}

/** The paths that a builder knows its outputs by. */
export function outputPaths(
  drvPath: StorePath,
  derivation: Derivation,
): ReadonlyMap<string, StorePath> {
  const fixed = fixedOutput(derivation);
  if (fixed === undefined) return temporaryPaths(drvPath, derivation);
  return new Map(Array.from(derivation.outputs.keys(), (name) => [name, fixed]));
}

/** Asked for several times on the way of a derivation to its outputs. */
const knownTemporaryPaths = new WeakMap<Derivation, ReadonlyMap<string, StorePath>>();

/** Paths for outputs that have none of their own yet, of the derivation that is at `drvPath`. */
export function temporaryPaths(
  drvPath: StorePath,
  derivation: Derivation,
): ReadonlyMap<string, StorePath> {
  let paths = knownTemporaryPaths.get(derivation);
  if (paths === undefined) {
    const names = [...derivation.outputs.keys()];
    paths = new Map(names.map((name) => [name, temporaryOutputPath(drvPath, name)]));
    knownTemporaryPaths.set(derivation, paths);
  }
  return paths;
}

/** Everything that stands for a path in a derivation whose inputs are done, and the path. */
export function replacementsFor(
  derivation: Derivation,
  choices: Choices,
  outputs: ReadonlyMap<string, StorePath>,
): Map<string, StorePath> {
  const replacements = new Map<string, StorePath>();
  for (const [name, path] of outputs) replacements.set(ownPlaceholder(name), path);
  for (const [input, names] of derivation.inputDerivations) {
    for (const name of names) {
      const path = choices.outputOf(input, name);
      if (path === undefined) throw new Error(`output ${name} of ${input} is not there`);
      replacements.set(inputPlaceholder(input, name), path);
    }
  }
  return replacements;
}
