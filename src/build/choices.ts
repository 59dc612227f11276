/** What a build has settled on so far. */
import type { Derivation } from "../format/derivation/derivation.ts";
import type { Hash } from "../format/hash.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import {
  type EquivalenceClass,
  equivalenceClass,
  type Realization,
  type ReferenceClass,
} from "../store/database/realizations.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { RealizationSnapshot } from "./choose-realization.ts";
import { EarlyOutputs } from "./early-outputs.ts";
import type { Facts, Outputs } from "./plan.ts";

/** For each path the classes that produced it; undefined stands for a source. */
export type Producers = ReadonlyMap<StorePath, ReadonlySet<EquivalenceClass | undefined>>;

export class Choices implements Facts {
  readonly done: Map<StorePath, { readonly drvHash: Hash; readonly outputs: Outputs }> = new Map();
  readonly chosen: Map<EquivalenceClass, StorePath | null> = new Map();
  readonly made: Set<EquivalenceClass> = new Set();
  readonly early: EarlyOutputs = new EarlyOutputs();
  readonly #snapshot: RealizationSnapshot;
  /** References of what was chosen, looked up once: every closure is walked again for each derivation above it. */
  readonly #references = new Map<EquivalenceClass, readonly ReferenceClass[]>();

  constructor(snapshot: RealizationSnapshot) {
    this.#snapshot = snapshot;
  }

  /** The path of an output of a derivation that is done, or nearly so. */
  outputOf(drvPath: StorePath, output: string): StorePath | undefined {
    return this.done.get(drvPath)?.outputs.get(output) ?? this.early.outputOf(drvPath, output);
  }

  /** The classes that are being built have no path until the result is disposed of. */
  beginWork(classes: readonly EquivalenceClass[]): Disposable {
    const open = classes.filter((equivalence) => !this.chosen.has(equivalence));
    for (const equivalence of open) this.chosen.set(equivalence, null);
    return {
      [Symbol.dispose]: () => {
        for (const equivalence of open) {
          if (this.chosen.get(equivalence) === null) this.chosen.delete(equivalence);
        }
      },
    };
  }

  /** A derivation is done: its outputs were there, or this build has made them. */
  finish(drvPath: StorePath, result: { drvHash: Hash; outputs: Outputs; isMade: boolean }): void {
    const { drvHash, outputs, isMade } = result;
    this.done.set(drvPath, { drvHash, outputs });
    for (const [output, path] of outputs) {
      const equivalence = equivalenceClass(drvHash, output);
      if (isMade) {
        this.chosen.set(equivalence, path);
        this.made.add(equivalence);
      } else {
        this.#adopt(equivalence, path);
      }
    }
  }

  /** What is in the closure of something that was there is settled with it: nothing else may be made or taken for it later. */
  #adopt(equivalence: EquivalenceClass, path: StorePath): void {
    if (this.made.has(equivalence)) return;
    const seen = new Set<EquivalenceClass>();
    const stack: [EquivalenceClass, StorePath][] = [[equivalence, path]];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const [key, at] = top;
      if (seen.has(key) || (this.chosen.get(key) === at && !this.made.has(key))) continue;
      seen.add(key);
      this.chosen.set(key, at);
      for (const { producer, path: reference } of this.#referencesOf(key, at)) {
        if (producer !== undefined) stack.push([producer, reference]);
      }
    }
  }

  /**
   * A build must not use two paths of one class. Plans see to it; this makes sure.
   *
   * @throws KilnError `build.conflict`
   */
  check(realizations: readonly Realization[]): void {
    for (const { equivalence, path } of realizations) {
      const other = this.chosen.get(equivalence);
      if (other === undefined || other === null || other === path) continue;
      throw new KilnError(
        "build.conflict",
        `new path ${path} conflicts with ${other}, which this build uses already`,
        { kind: "internal", path, hint: "build it again" },
      );
    }
  }

  /** What is in the closure of the inputs of a derivation that is being built, and who made it. */
  producersOfInputs(derivation: Derivation): Producers {
    const producers = new Map<StorePath, Set<EquivalenceClass | undefined>>();
    const stack: [StorePath, EquivalenceClass | undefined][] = [];
    const visit = (path: StorePath, producer: EquivalenceClass | undefined): void => {
      const known = producers.get(path) ?? new Set();
      if (known.has(producer)) return;
      producers.set(path, known.add(producer));
      stack.push([path, producer]);
    };
    for (const source of derivation.inputSources) visit(source, undefined);
    for (const [input, outputs] of derivation.inputDerivations) {
      const done = this.done.get(input);
      for (const output of outputs) {
        const path = done?.outputs.get(output);
        if (done !== undefined && path !== undefined) {
          visit(path, equivalenceClass(done.drvHash, output));
        }
      }
    }
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const [path, producer] = top;
      if (producer === undefined) continue; // what a source refers to are sources
      for (const reference of this.#referencesOf(producer, path)) {
        visit(reference.path, reference.producer);
      }
    }
    return producers;
  }

  #referencesOf(producer: EquivalenceClass, path: StorePath): readonly ReferenceClass[] {
    if (this.chosen.get(producer) !== path) return this.#snapshot.references(producer, path);
    let references = this.#references.get(producer);
    if (references === undefined) {
      references = this.#snapshot.references(producer, path);
      this.#references.set(producer, references);
    }
    return references;
  }
}

/** The direct references of new outputs of one derivation, each with every class that produced it. */
export function realizationsOf(
  drvHash: Hash,
  infos: ReadonlyMap<string, ObjectInfo>,
  producersOfInputs: () => Producers,
): Realization[] {
  const siblings = new Map<StorePath, EquivalenceClass>();
  for (const [output, info] of infos) {
    siblings.set(info.storePath, equivalenceClass(drvHash, output));
  }
  let known: Producers | undefined;
  return Array.from(infos, ([output, { storePath, references }]) => ({
    equivalence: equivalenceClass(drvHash, output),
    path: storePath,
    references: references
      .filter((path) => path !== storePath)
      .flatMap((path) => {
        const sibling = siblings.get(path);
        known ??= producersOfInputs();
        const inputs = known.get(path) ?? (sibling === undefined ? [undefined] : []);
        const producers = new Set(inputs);
        if (sibling !== undefined) producers.add(sibling);
        return Array.from(producers, (producer) => ({ path, producer }));
      }),
    signatures: [],
  }));
}
