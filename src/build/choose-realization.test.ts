// The choice among earlier outputs, compared with trying every combination there is.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { StorePath } from "../format/store-path.ts";
import type { EquivalenceClass, ReferenceClass } from "../store/database/realizations.ts";
import { type Chosen, chooseRealizations, type RealizationSnapshot } from "./choose-realization.ts";

const cases = 20_000;
const classCount = 6;

const classes = Array.from({ length: classCount }, (_, i) => `class${i}` as EquivalenceClass);
const pathOf = (number: number): StorePath => `/s/path${number}` as StorePath;

/** What earlier builds left: for each class its candidates, each with references into lower classes. */
interface Sketch {
  readonly candidates: readonly (readonly {
    readonly path: number;
    readonly references: readonly { readonly at: number; readonly pick: number }[];
    readonly isPresent: boolean;
  }[])[];
  /** What the build has chosen before. */
  readonly chosen: readonly { readonly at: number; readonly pick: number }[];
  /** Classes that are being built. */
  readonly open: readonly number[];
  readonly asked: readonly number[];
}

const picks = fc.record({ at: fc.nat(classCount - 1), pick: fc.nat(5) });

const sketches: fc.Arbitrary<Sketch> = fc.record({
  candidates: fc.array(
    fc.array(
      fc.record({
        path: fc.nat(11),
        references: fc.array(picks, { maxLength: 3 }),
        isPresent: fc.nat(4).map((n) => n > 0),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    { minLength: classCount, maxLength: classCount },
  ),
  chosen: fc.array(picks, { maxLength: 2 }),
  open: fc.array(fc.nat(classCount - 1), { maxLength: 1 }),
  asked: fc.uniqueArray(fc.nat(classCount - 1), { minLength: 1, maxLength: 3 }),
});

type Pairs = readonly (readonly [EquivalenceClass, StorePath])[];

class Drawn implements RealizationSnapshot {
  readonly #candidates = new Map<EquivalenceClass, StorePath[]>();
  readonly #references = new Map<string, ReferenceClass[]>();
  readonly #absent = new Set<StorePath>();

  constructor(sketch: Sketch) {
    for (const [i, list] of sketch.candidates.entries()) {
      const equivalence = classes[i]!;
      const paths: StorePath[] = [];
      for (const { path: number, references, isPresent } of list) {
        const path = pathOf(number);
        if (paths.includes(path)) continue;
        paths.push(path);
        if (!isPresent) this.#absent.add(path);
        this.#references.set(
          `${equivalence} ${path}`,
          references.map(({ at, pick }) => this.#reference(i, at, pick)),
        );
      }
      this.#candidates.set(equivalence, paths);
    }
  }

  /** To something of a lower class; to a source where there is none. */
  #reference(below: number, at: number, pick: number): ReferenceClass {
    const producer = below === 0 ? undefined : classes[at % below];
    const paths = producer === undefined ? [] : this.candidates(producer);
    const path = paths[pick % Math.max(1, paths.length)];
    return path === undefined ? { path: pathOf(99), producer: undefined } : { path, producer };
  }

  candidates(equivalence: EquivalenceClass): readonly StorePath[] {
    return this.#candidates.get(equivalence) ?? [];
  }

  references(equivalence: EquivalenceClass, path: StorePath): readonly ReferenceClass[] {
    return this.#references.get(`${equivalence} ${path}`) ?? [];
  }

  isPresent(path: StorePath): boolean {
    return !this.#absent.has(path);
  }

  /** All classes and paths in the closure of these, they included. */
  closure(pairs: Pairs): Pairs {
    return pairs.flatMap(([equivalence, path]) => [
      [equivalence, path] as const,
      ...this.closure(
        this.references(equivalence, path).flatMap((reference) =>
          reference.producer === undefined ? [] : [[reference.producer, reference.path] as const],
        ),
      ),
    ]);
  }
}

/** One path for each class; undefined when there are two for one. */
function merge(pairs: Iterable<readonly [EquivalenceClass, StorePath | null]>): Chosen | undefined {
  const merged = new Map<EquivalenceClass, StorePath | null>();
  for (const [equivalence, path] of pairs) {
    const other = merged.get(equivalence);
    if (other !== undefined && other !== path) return undefined;
    merged.set(equivalence, path);
  }
  return merged;
}

/** What a build may have chosen: closures that fit each other, and classes that it is building. */
function draw(sketch: Sketch): { snapshot: Drawn; chosen: Chosen; asked: EquivalenceClass[] } {
  const snapshot = new Drawn(sketch);
  let chosen: Chosen = new Map();
  for (const { at, pick } of sketch.chosen) {
    const paths = snapshot.candidates(classes[at]!);
    const closure = snapshot.closure([[classes[at]!, paths[pick % paths.length]!]]);
    chosen = merge([...chosen, ...closure]) ?? chosen;
  }
  const open = sketch.open.flatMap((at) => (chosen.has(classes[at]!) ? [] : [classes[at]!]));
  chosen = new Map([...chosen, ...open.map((equivalence) => [equivalence, null] as const)]);
  return { snapshot, chosen, asked: sketch.asked.map((at) => classes[at]!) };
}

/** Every combination of paths for `asked` whose closures, all together, have one path for each class. */
function combinations(
  asked: readonly EquivalenceClass[],
  { snapshot, chosen }: { readonly snapshot: Drawn; readonly chosen: Chosen },
  isOffered: (path: StorePath) => boolean,
): Chosen[] {
  let tuples: Pairs[] = [[]];
  for (const equivalence of asked) {
    const known = chosen.get(equivalence);
    const paths =
      known === undefined ? snapshot.candidates(equivalence) : known === null ? [] : [known];
    tuples = tuples.flatMap((tuple) =>
      paths.filter(isOffered).map((path) => [...tuple, [equivalence, path] as const]),
    );
  }
  return tuples.flatMap((tuple) => merge([...chosen, ...snapshot.closure(tuple)]) ?? []);
}

const counts = { found: 0, none: 0, incompatible: 0, several: 0, choosing: 0 };

function compare(sketch: Sketch): void {
  const { snapshot, chosen, asked } = draw(sketch);
  const isPresent = (path: StorePath): boolean => snapshot.isPresent(path);
  const choice = chooseRealizations(asked, { chosen, snapshot });
  const all = combinations(asked, { snapshot, chosen }, isPresent);
  const alone = asked.map((one) => combinations([one], { snapshot, chosen }, isPresent).length);
  if (asked.some((one) => snapshot.candidates(one).length > 1)) counts.choosing++;
  counts[choice.type]++;
  switch (choice.type) {
    case "found": {
      const together = merge([...chosen, ...choice.adopted]);
      assert.ok(together !== undefined, "two paths of one class");
      assert.deepEqual(all, [together], "the only combination, with all of its closure");
      break;
    }
    case "none":
      assert.deepEqual(all, []);
      if (choice.incompatible.length > 0) counts.incompatible++;
      break;
    case "several":
      // Of several for one output, which go with which for another is not tried out.
      assert.ok(asked.length === 1 ? all.length > 1 : alone.some((count) => count > 1));
      assert.ok(choice.paths.length > 1);
  }
}

/** One output whose objects may be gone: those that are there come first. */
function compareKnown(sketch: Sketch): void {
  const { snapshot, chosen, asked } = draw(sketch);
  const one = asked.slice(0, 1);
  const present = combinations(one, { snapshot, chosen }, (path) => snapshot.isPresent(path));
  const known = combinations(one, { snapshot, chosen }, (path) => !snapshot.isPresent(path));
  const expected = present.length > 0 ? present : known;
  const choice = chooseRealizations(one, { chosen, snapshot }, "known");
  const type = expected.length === 0 ? "none" : expected.length === 1 ? "found" : "several";
  assert.equal(choice.type, type);
  if (choice.type === "found") assert.deepEqual(merge([...chosen, ...choice.adopted]), expected[0]);
}

describe("of any earlier outputs", () => {
  test("what is chosen is the only combination whose closures have one path for each class", (t) => {
    fc.assert(fc.property(sketches, compare), { numRuns: cases });
    const { found, none, incompatible, several, choosing } = counts;
    const text = `${cases} random choices, ${choosing} of them among several paths: ${found} made; ${none} impossible, ${incompatible} of these because nothing that is there fits; ${several} left open because more than one fits`;
    console.log(text);
    t.diagnostic(text);
    for (const count of [found, incompatible, several]) assert.ok(count > cases / 20, text);
  });

  test("those that are there come before those that are gone", () => {
    fc.assert(fc.property(sketches, compareKnown), { numRuns: cases });
  });
});
