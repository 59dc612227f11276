/**
 * A world to test planning with: random derivations, whose builders make something else from run to run, and a history of builds with
 * deletions in between. It keeps a record of its own of what is in the closure of each object, and of who made that.
 */
import * as fc from "fast-check";
import { encodeBase32 } from "../format/base32.ts";
import { derivationPath } from "../format/derivation/print.ts";
import { compressHash, sha256 } from "../format/hash.ts";
import { outputObjectName } from "../format/path-digest.ts";
import { parseStoreDirectory, storePathFor, type StorePath } from "../format/store-path.ts";
import {
  type EquivalenceClass,
  equivalenceClass,
  type Realization,
  type ReferenceClass,
} from "../store/database/realizations.ts";
import type { RealizationSnapshot } from "./choose-realization.ts";
import { rememberedHash } from "./derivation-hash.ts";
import { type Made, shellDerivation } from "./workbench.test.support.ts";

const directory = parseStoreDirectory("/s");

export interface Sketch {
  /**
   * Which outputs of earlier ones each derivation takes (modulo what there is), whether it has one output or two. There are few kinds:
   * different derivations make the same things, and turn out to be the same when their inputs do.
   */
  readonly derivations: readonly {
    readonly kind: number;
    readonly salt: number;
    readonly inputs: readonly number[];
    readonly isDouble: boolean;
    readonly isRandom: boolean;
  }[];
  /** What each build wants, and which objects are deleted before it. */
  readonly builds: readonly {
    readonly wanted: readonly number[];
    readonly deleted: readonly number[];
    readonly isClean: boolean;
  }[];
  /** What chance gives, used up in turn. */
  readonly chance: readonly number[];
}

/** Without inputs; several of them make the same things. */
const makers = fc.record({
  kind: fc.constant(0),
  salt: fc.nat(2),
  inputs: fc.constant([]),
  isDouble: fc.nat(3).map((n) => n === 0),
  isRandom: fc.constant(true),
});

const users = fc.record({
  kind: fc.integer({ min: 1, max: 2 }),
  salt: fc.constant(0),
  inputs: fc.array(fc.nat(20), { minLength: 1, maxLength: 2 }),
  isDouble: fc.nat(3).map((n) => n === 0),
  isRandom: fc.nat(2).map((n) => n === 0),
});

export const sketches: fc.Arbitrary<Sketch> = fc.record({
  derivations: fc
    .tuple(
      fc.array(makers, { minLength: 2, maxLength: 3 }),
      fc.array(users, { minLength: 2, maxLength: 4 }),
    )
    .map((parts) => parts.flat()),
  builds: fc.array(
    fc.record({
      wanted: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
      deleted: fc.array(fc.nat(40), { maxLength: 2 }),
      isClean: fc.boolean(),
    }),
    { minLength: 2, maxLength: 5 },
  ),
  chance: fc.array(fc.nat(5), { minLength: 40, maxLength: 40 }),
});

/** One output of one derivation, of one class. */
export interface Member {
  readonly equivalence: EquivalenceClass;
  readonly path: StorePath;
}

export const keyOf = ({ equivalence, path }: Member): string => `${equivalence} ${path}`;

/** Members by their text. */
export type Members = Map<string, Member>;

export class History implements RealizationSnapshot {
  readonly derivations: readonly Made[];
  readonly present: Set<StorePath> = new Set();
  readonly #sketch: Sketch;
  readonly #random = new Set<StorePath>();
  readonly #references = new Map<StorePath, readonly StorePath[]>();
  readonly #realizations = new Map<EquivalenceClass, Map<StorePath, ReferenceClass[]>>();
  /** For each member all that is in its closure, by whom it was made: over all the times that it was made. */
  readonly #closures = new Map<string, Members>();
  #chances = 0;
  #isClean = false;

  constructor(sketch: Sketch) {
    this.#sketch = sketch;
    const all: Made[] = [];
    for (const { kind, salt, inputs, isDouble, isRandom } of sketch.derivations) {
      const offered = all.flatMap((made) =>
        [...made.derivation.outputs.keys()].map((output) => [made, output] as const),
      );
      const taken = new Set(offered.length === 0 ? [] : inputs.map((at) => at % offered.length));
      const derivation = shellDerivation(directory, `d${kind}`, "", {
        env: { SALT: String(salt) },
        inputs: Object.fromEntries([...taken].map((at, i) => [`i${i}`, offered[at]!])),
        outputs: isDouble ? ["lib", "out"] : ["out"],
      });
      const drvPath = derivationPath(derivation);
      if (all.some((other) => other.drvPath === drvPath)) continue;
      all.push({ drvPath, derivation });
      if (isRandom) this.#random.add(drvPath);
    }
    this.derivations = all;
  }

  /** Begins a build: what is deleted is gone, with all that refers to it. */
  begin({ deleted, isClean }: Sketch["builds"][number]): void {
    this.#isClean = isClean;
    const objects = [...this.present];
    for (const at of deleted) {
      const path = objects[at];
      if (path !== undefined) this.#remove(path);
    }
  }

  #remove(path: StorePath): void {
    this.present.delete(path);
    for (const other of this.present) {
      if (this.#references.get(other)?.includes(path)) this.#remove(other);
    }
  }

  candidates(equivalence: EquivalenceClass): readonly StorePath[] {
    if (this.#isClean) return [];
    return [...(this.#realizations.get(equivalence)?.keys() ?? [])];
  }

  references(equivalence: EquivalenceClass, path: StorePath): readonly ReferenceClass[] {
    return this.#realizations.get(equivalence)?.get(path) ?? [];
  }

  isPresent(path: StorePath): boolean {
    return this.present.has(path);
  }

  /** A number below `limit`. */
  chance(limit: number): number {
    const { chance } = this.#sketch;
    return (chance[this.#chances++ % chance.length] ?? 0) % limit;
  }

  /**
   * Runs a builder: a new object for each output, or the same as at another time. It may refer to anything that the inputs refer to,
   * and the second output to the first.
   */
  run(
    made: Made,
    inputs: readonly Member[],
  ): ReadonlyMap<string, { storePath: StorePath; references: readonly StorePath[] }> {
    const isRandom = this.#random.has(made.drvPath);
    const pool = new Set(inputs.flatMap((input) => [input.path, ...this.#reachable(input.path)]));
    const results = new Map<string, { storePath: StorePath; references: readonly StorePath[] }>();
    const siblings: StorePath[] = [];
    for (const output of made.derivation.outputs.keys()) {
      const offered = [...pool, ...siblings];
      const picked = offered.filter((_, at) => (isRandom ? this.chance(2) : at % 2) === 0);
      const references = [...new Set(picked)].toSorted();
      const variant = isRandom ? this.chance(2) : 0;
      const name = outputObjectName(made.derivation.name, output);
      const content = `${name} ${variant} ${references.join(" ")}`;
      const digest = encodeBase32(compressHash(sha256(content).bytes, 20));
      const storePath = storePathFor(directory, `${digest}-${name}`);
      this.#references.set(storePath, references);
      results.set(output, { storePath, references });
      siblings.push(storePath);
    }
    return results;
  }

  #reachable(path: StorePath): StorePath[] {
    const direct = this.#references.get(path) ?? [];
    return [...direct, ...direct.flatMap((reference) => this.#reachable(reference))];
  }

  /**
   * Records what a builder made of `inputs`, whose closures are those that they have in this build; returns the closure of each output:
   * what it refers to, by whomever of its inputs that was made, and what is in the closures of these.
   */
  record(
    realizations: readonly Realization[],
    inputs: readonly { readonly member: Member; readonly closure: Members }[],
  ): Map<string, Members> {
    const pool: Members = new Map();
    const closures = new Map<string, Members>();
    for (const { member, closure } of inputs) {
      pool.set(keyOf(member), member);
      for (const [key, one] of closure) pool.set(key, one);
      closures.set(keyOf(member), closure);
    }
    for (const [key, member] of pool) {
      const known = closures.get(key) ?? this.closureOf(member);
      closures.set(key, new Map([...known].filter(([below]) => pool.has(below))));
    }
    for (const { equivalence, path, references } of realizations) {
      const output = { equivalence, path };
      const direct = this.#references.get(path) ?? [];
      const closure: Members = new Map();
      for (const [key, member] of pool) {
        if (!direct.includes(member.path)) continue;
        closure.set(key, member);
        for (const [below, one] of closures.get(key) ?? []) closure.set(below, one);
      }
      pool.set(keyOf(output), output);
      closures.set(keyOf(output), closure);
      this.#closures.set(keyOf(output), new Map([...this.closureOf(output), ...closure]));
      const paths = this.#realizations.get(equivalence) ?? new Map();
      this.#realizations.set(equivalence, paths);
      paths.set(path, [...(paths.get(path) ?? []), ...references]);
      this.present.add(path);
    }
    return closures;
  }

  /** All that is in its closure, itself left out, by whomever it was made at any time. */
  closureOf(member: Member): Members {
    return this.#closures.get(keyOf(member)) ?? new Map();
  }

  /** The classes of its outputs, in the order of their names, given those of its inputs; undefined when one is not known. */
  classesOf(
    { derivation }: Made,
    pathOf: (drvPath: StorePath, output: string) => StorePath | undefined,
    outputs: readonly string[],
  ): EquivalenceClass[] | undefined {
    for (const [input, used] of derivation.inputDerivations) {
      if (used.some((output) => pathOf(input, output) === undefined)) return undefined;
    }
    const hash = rememberedHash(derivation, pathOf);
    return outputs.map((output) => equivalenceClass(hash, output));
  }
}
