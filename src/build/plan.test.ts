import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { ContentAddress } from "../format/content-address.ts";
import { derivationHash } from "../format/derivation/hash.ts";
import { derivationPath } from "../format/derivation/print.ts";
import { sha256 } from "../format/hash.ts";
import { compressHash } from "../format/hash.ts";
import { encodeBase32 } from "../format/base32.ts";
import { parseStoreDirectory, storePathFor, type StorePath } from "../format/store-path.ts";
import {
  type EquivalenceClass,
  equivalenceClass,
  type ReferenceClass,
} from "../store/database/realizations.ts";
import { compareBytes } from "../util/byte-string.ts";
import type { RealizationSnapshot } from "./choose-realization.ts";
import { makeGraph } from "./graph.ts";
import { fixedOutput, makePlan, type Outputs, type Plan } from "./plan.ts";
import { type Made, shellDerivation, type ShellOptions } from "./workbench.test.support.ts";

const directory = parseStoreDirectory("/s");

function derivation(name: string, inputs: readonly Made[], options: ShellOptions = {}): Made {
  const named = Object.fromEntries(inputs.map((input, i) => [`i${i}`, input]));
  const made = shellDerivation(directory, name, "", { inputs: named, ...options });
  return { drvPath: derivationPath(made), derivation: made };
}

/** A path that is some realisation of a derivation called `name`. */
function realisation(name: string, variant: number): StorePath {
  const digest = encodeBase32(compressHash(sha256(`${name} ${variant}`).bytes, 20));
  return storePathFor(directory, `${digest}-${name}`);
}

/** Realisations in memory. */
class Known implements RealizationSnapshot {
  readonly present = new Set<StorePath>();
  readonly #paths = new Map<EquivalenceClass, StorePath[]>();
  readonly #references = new Map<string, ReferenceClass[]>();

  add(key: EquivalenceClass, path: StorePath, references: readonly ReferenceClass[] = []): void {
    const paths = this.#paths.get(key) ?? [];
    if (!paths.includes(path)) this.#paths.set(key, [...paths, path]);
    const known = this.#references.get(`${key} ${path}`) ?? [];
    this.#references.set(`${key} ${path}`, [...known, ...references]);
  }

  /** Makes an object present, with all it refers to: a store has nothing else. */
  put(key: EquivalenceClass, path: StorePath): void {
    this.present.add(path);
    for (const { producer, path: reference } of this.references(key, path)) {
      if (producer !== undefined) this.put(producer, reference);
    }
  }

  candidates(key: EquivalenceClass): readonly StorePath[] {
    return this.#paths.get(key) ?? [];
  }

  references(key: EquivalenceClass, path: StorePath): readonly ReferenceClass[] {
    return this.#references.get(`${key} ${path}`) ?? [];
  }

  isPresent(path: StorePath): boolean {
    return this.present.has(path);
  }
}

const noFacts = { done: new Map(), chosen: new Map(), made: new Set<never>() };

/** `name action[ <- what it waits for]` for each derivation that is needed or there. */
function shown(plan: Plan): string[] {
  return [...plan.values()]
    .filter(({ action, isPresent }) => action !== "none" || isPresent)
    .map(({ node, action, waitsFor }) => {
      const names = Array.from(
        waitsFor,
        (drvPath) => plan.get(drvPath)?.node.derivation.name ?? "",
      ).toSorted(compareBytes);
      const waits = names.length === 0 ? "" : ` <- ${names.join(" ")}`;
      return `${node.derivation.name} ${action}${waits}`;
    });
}

interface Scene {
  readonly all: readonly Made[];
  readonly wanted: readonly Made[];
  readonly known: Known;
}

function plan(
  { all, wanted, known }: Scene,
  facts: Parameters<typeof makePlan>[2] = noFacts,
): Plan {
  const derivations = new Map(all.map(({ drvPath, derivation }) => [drvPath, derivation]));
  const outputs = new Map(
    wanted.map(({ drvPath, derivation }) => [drvPath, [...derivation.outputs.keys()]]),
  );
  return makePlan(makeGraph(derivations, outputs), known, facts).plan;
}

/** Records a realisation of a derivation, given those of its inputs. */
function realize(
  known: Known,
  { derivation }: Made,
  inputs: ReadonlyMap<StorePath, StorePath>,
  options: { variant?: number; absent?: boolean; references?: readonly ReferenceClass[] } = {},
): { path: StorePath; key: EquivalenceClass } {
  const key = equivalenceClass(
    derivationHash(derivation, (input) => inputs.get(input)),
    "out",
  );
  const path = realisation(derivation.name, options.variant ?? 0);
  known.add(key, path, options.references);
  if (options.absent !== true) known.present.add(path);
  return { path, key };
}

describe("a plan", () => {
  const lib = derivation("lib", []);
  const app = derivation("app", [lib]);
  const test1 = derivation("test", [app, lib]);

  test("builds everything when nothing is known", () => {
    const known = new Known();
    assert.deepEqual(shown(plan({ all: [lib, app, test1], wanted: [test1], known })), [
      "lib build",
      "app build <- lib",
      "test build <- app lib",
    ]);
  });

  test("builds nothing when the target is there", () => {
    const known = new Known();
    const { path } = realize(known, lib, new Map());
    realize(known, app, new Map([[lib.drvPath, path]]));
    assert.deepEqual(shown(plan({ all: [lib, app], wanted: [app], known })), [
      "lib none",
      "app reuse",
    ]);
  });

  test("builds nothing when the target is there and its inputs are gone", () => {
    const known = new Known();
    const { path } = realize(known, lib, new Map(), { absent: true });
    realize(known, app, new Map([[lib.drvPath, path]]));
    assert.deepEqual(shown(plan({ all: [lib, app], wanted: [app], known })), ["app reuse"]);
  });

  test("builds an input again when something that needs it has to be built", () => {
    const known = new Known();
    const { path } = realize(known, lib, new Map(), { absent: true });
    realize(known, app, new Map([[lib.drvPath, path]]));
    assert.deepEqual(shown(plan({ all: [lib, app, test1], wanted: [test1], known })), [
      "lib build",
      "app reuse <- lib",
      "test build <- app lib",
    ]);
  });

  test("uses none of several realisations, and so knows nothing of what depends on them", () => {
    const known = new Known();
    const { path } = realize(known, lib, new Map());
    realize(known, lib, new Map(), { variant: 1 });
    realize(known, app, new Map([[lib.drvPath, path]]));
    const made = plan({ all: [lib, app], wanted: [app], known });
    assert.deepEqual(shown(made), ["lib build", "app build <- lib"]);
    assert.equal(made.get(lib.drvPath)?.choice?.type, "several");
  });

  test("prefers the one that is there to those that are gone", () => {
    const known = new Known();
    realize(known, lib, new Map(), { absent: true });
    const { path } = realize(known, lib, new Map(), { variant: 1 });
    const made = plan({ all: [lib], wanted: [lib], known });
    assert.deepEqual(made.get(lib.drvPath)?.outputs, new Map([["out", path]]));
  });

  test("takes no path that has another name than the output", () => {
    const known = new Known();
    const { key, path } = realize(known, lib, new Map());
    const wrong = realisation("library", 0);
    known.add(key, wrong);
    known.present.add(wrong);
    const made = plan({ all: [lib], wanted: [lib], known });
    assert.deepEqual(made.get(lib.drvPath)?.outputs, new Map([["out", path]]));
  });

  test("does not mix two paths of one class", () => {
    const other = derivation("other", [lib]);
    const both = derivation("both", [app, other]);
    const known = new Known();
    const first = realize(known, lib, new Map(), { absent: true });
    const second = realize(known, lib, new Map(), { variant: 1 });
    const inputs = new Map([[lib.drvPath, second.path]]);
    // Once built against the first lib, and known to be the same thing against the second.
    realize(known, app, inputs, { references: [{ path: first.path, producer: first.key }] });
    realize(known, other, inputs, { references: [{ path: second.path, producer: second.key }] });
    const made = plan({ all: [lib, app, other, both], wanted: [both], known });
    assert.deepEqual(shown(made), [
      "lib reuse",
      "app build <- lib",
      "other reuse",
      "both build <- app other",
    ]);
    assert.deepEqual(made.get(app.drvPath)?.choice, {
      type: "none",
      incompatible: [realisation("app", 0)],
    });
  });

  test("uses nothing that rests on what is made anew in the same build", () => {
    const twin = derivation("lib", [], { env: { TWIN: "1" } });
    const other = derivation("app", [twin]);
    const known = new Known();
    // Both libs once came out alike, so that what was made with one of them serves for the other one.
    const first = realize(known, lib, new Map());
    realize(known, twin, new Map());
    realize(known, other, new Map([[twin.drvPath, first.path]]), {
      references: [{ path: first.path, producer: first.key }],
    });
    assert.deepEqual(shown(plan({ all: [lib, twin, other], wanted: [lib, other], known })), [
      "lib reuse",
      "lib none",
      "app reuse",
    ]);
    realize(known, lib, new Map(), { variant: 1 });
    assert.deepEqual(shown(plan({ all: [lib, twin, other], wanted: [lib, other], known })), [
      "lib build",
      "lib reuse",
      "app build <- lib",
    ]);
  });

  test("needs no inputs for a fixed output that is there, and assumes its path when it is not", () => {
    const ca: ContentAddress = { method: "flat", hash: sha256("x") };
    const source = derivation("source", [lib], { fixed: ca });
    const user = derivation("user", [source]);
    const known = new Known();
    assert.deepEqual(shown(plan({ all: [lib, source, user], wanted: [user], known })), [
      "lib build",
      "source build <- lib",
      "user build <- source",
    ]);
    const path = fixedOutput(source.derivation);
    assert.ok(path !== undefined);
    realize(known, user, new Map([[source.drvPath, path]]));
    assert.deepEqual(shown(plan({ all: [lib, source, user], wanted: [user], known })), [
      "user reuse",
    ]);
    known.present.clear();
    known.present.add(path);
    assert.deepEqual(shown(plan({ all: [lib, source, user], wanted: [user], known })), [
      "source reuse",
      "user build <- source",
    ]);
  });

  test("takes what the build has done for granted", () => {
    const known = new Known();
    const { path } = realize(known, lib, new Map());
    realize(known, app, new Map([[lib.drvPath, path]]));
    const fresh = realisation("lib", 7);
    const done = new Map([
      [
        lib.drvPath,
        {
          drvHash: derivationHash(lib.derivation, () => undefined),
          outputs: new Map([["out", fresh]]),
        },
      ],
    ]);
    const made = plan(
      { all: [lib, app], wanted: [app], known },
      { done, chosen: new Map(), made: new Set() },
    );
    assert.deepEqual(shown(made), ["lib done", "app build <- lib"]);
  });

  test("wants all used outputs of a derivation together", () => {
    const two = derivation("two", [], { outputs: ["dev", "out"] });
    const user = shellDerivation(directory, "user", "", { inputs: { a: two, b: [two, "dev"] } });
    const all = [two, { drvPath: derivationPath(user), derivation: user }];
    const known = new Known();
    const hash = derivationHash(two.derivation, () => undefined);
    const [out, dev] = [realisation("two", 0), realisation("two-dev", 0)];
    known.add(equivalenceClass(hash, "out"), out);
    known.present.add(out);
    const scene = { all, wanted: all.slice(1), known };
    assert.deepEqual(shown(plan(scene)), ["two build", "user build <- two"]);
    known.add(equivalenceClass(hash, "dev"), dev);
    known.present.add(dev);
    assert.deepEqual(shown(plan(scene)), ["two reuse", "user build <- two"]);
  });

  test("lets the choice of one output decide that of another", () => {
    const two = derivation("two", [], { outputs: ["dev", "out"] });
    const known = new Known();
    const hash = derivationHash(two.derivation, () => undefined);
    const [out, dev] = [equivalenceClass(hash, "out"), equivalenceClass(hash, "dev")];
    for (const variant of [0, 1]) {
      const path = realisation("two-dev", variant);
      known.add(dev, path, [{ path: realisation("two", variant), producer: out }]);
      known.present.add(path);
    }
    known.add(out, realisation("two", 1));
    known.present.add(realisation("two", 1));
    const made = plan({ all: [two], wanted: [two], known });
    assert.deepEqual(
      made.get(two.drvPath)?.outputs,
      new Map([
        ["dev", realisation("two-dev", 1)],
        ["out", realisation("two", 1)],
      ]),
    );
  });
});

/** A random graph with a random history of builds. */
interface Sketch {
  /** For each derivation: which earlier ones it takes (by index, modulo), and how often it was built. */
  readonly derivations: readonly {
    readonly inputs: readonly number[];
    readonly builds: readonly {
      readonly variant: number;
      readonly choices: readonly number[];
      readonly references: readonly number[];
      readonly isAbsent: boolean;
    }[];
  }[];
  readonly wanted: readonly number[];
}

const sketches: fc.Arbitrary<Sketch> = fc.record({
  derivations: fc.array(
    fc.record({
      inputs: fc.array(fc.nat(20), { maxLength: 3 }),
      builds: fc.array(
        fc.record({
          variant: fc.nat(2),
          choices: fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
          references: fc.array(fc.nat(10), { maxLength: 2 }),
          isAbsent: fc.boolean(),
        }),
        { maxLength: 3 },
      ),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  wanted: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
});

interface Built {
  readonly path: StorePath;
  readonly key: EquivalenceClass;
  /** Its own class and those of its closure. */
  readonly closure: readonly ReferenceClass[];
}

function draw(sketch: Sketch): Scene {
  const known = new Known();
  const all: Made[] = [];
  const built: Built[][] = [];
  const contents = new Map<StorePath, string>();
  for (const [index, { inputs, builds }] of sketch.derivations.entries()) {
    const taken = index === 0 ? [] : [...new Set(inputs.map((input) => input % index))];
    const made = derivation(
      `d${index}`,
      taken.flatMap((input) => all[input] ?? []),
    );
    all.push(made);
    built.push([]);
    for (const build of builds) {
      const used = taken.map((input, i) => {
        const list = built[input] ?? [];
        return list[(build.choices[i] ?? 0) % Math.max(1, list.length)];
      });
      if (used.includes(undefined)) continue;
      const paths = new Map(taken.map((input, i) => [all[input]?.drvPath, used[i]?.path]));
      const key = equivalenceClass(
        derivationHash(made.derivation, (drvPath) => paths.get(drvPath)),
        "out",
      );
      const path = realisation(`d${index}`, build.variant);
      const closure = used.flatMap((one) => one?.closure ?? []);
      const references = build.references.flatMap((at) => closure[at % closure.length] ?? []);
      // A path is one object, which refers to one thing.
      const content = [...new Set(references.map((one) => one.path))].toSorted().join(" ");
      if ((contents.get(path) ?? content) !== content) continue;
      contents.set(path, content);
      known.add(key, path, references);
      if (!build.isAbsent) known.put(key, path);
      built[index]?.push({ path, key, closure: [{ path, producer: key }, ...closure] });
    }
  }
  const wanted = sketch.wanted.flatMap((at) => all[at % all.length] ?? []);
  return { all, wanted: [...new Set(wanted)], known };
}

/** Every (class, path) that is reached from one; undefined when two of them are of one class. */
function wholeClosure(
  known: Known,
  key: EquivalenceClass,
  path: StorePath,
): Map<EquivalenceClass, StorePath> | undefined {
  const pairs = new Map<EquivalenceClass, StorePath>();
  const visit = (at: EquivalenceClass, to: StorePath): boolean => {
    if (pairs.has(at)) return pairs.get(at) === to;
    pairs.set(at, to);
    return known
      .references(at, to)
      .every(({ producer, path: next }) => producer === undefined || visit(producer, next));
  };
  return visit(key, path) ? pairs : undefined;
}

/** The same rules, written down as simply as can be. */
function oracle({
  all,
  wanted,
  known,
}: Scene): Map<StorePath, { outputs: StorePath | undefined; build: boolean; need: boolean }> {
  const chosen = new Map<EquivalenceClass, StorePath>();
  const paths = new Map<StorePath, StorePath | undefined>();
  for (const { drvPath, derivation } of all) {
    const inputs = [...derivation.inputDerivations.keys()];
    paths.set(drvPath, undefined);
    if (inputs.some((input) => paths.get(input) === undefined)) continue;
    const key = equivalenceClass(
      derivationHash(derivation, (input) => paths.get(input)),
      "out",
    );
    const already = chosen.get(key);
    const candidates = already === undefined ? known.candidates(key) : [already];
    const fitting = candidates.filter((path) => {
      const closure = wholeClosure(known, key, path);
      return (
        closure !== undefined && [...closure].every(([at, to]) => (chosen.get(at) ?? to) === to)
      );
    });
    const present = fitting.filter((path) => known.isPresent(path));
    const list = present.length > 0 ? present : fitting;
    const [path, ...others] = list;
    if (path === undefined || others.length > 0) continue;
    for (const [at, to] of wholeClosure(known, key, path) ?? []) chosen.set(at, to);
    paths.set(drvPath, path);
  }
  const isThere = (drvPath: StorePath): boolean => {
    const path = paths.get(drvPath);
    return path !== undefined && known.isPresent(path);
  };
  const need = new Set(wanted.map(({ drvPath }) => drvPath));
  for (const { drvPath, derivation } of all.toReversed()) {
    if (!need.has(drvPath) || isThere(drvPath)) continue;
    for (const input of derivation.inputDerivations.keys()) need.add(input);
  }
  return new Map(
    all.map(({ drvPath }) => [
      drvPath,
      {
        outputs: paths.get(drvPath),
        build: need.has(drvPath) && !isThere(drvPath),
        need: need.has(drvPath),
      },
    ]),
  );
}

describe("of any graph and any history", () => {
  test("a plan is what the rules say, and consistent", () => {
    fc.assert(
      fc.property(sketches, (sketch) => {
        const scene = draw(sketch);
        const expected = oracle(scene);
        const made = plan(scene);
        for (const [drvPath, { action, outputs, waitsFor, node }] of made) {
          const wanted = expected.get(drvPath);
          assert.equal(outputs?.get("out"), wanted?.outputs);
          assert.equal(
            action,
            wanted?.build === true ? "build" : wanted?.need === true ? "reuse" : "none",
          );
          // Whoever waits, waits for something that is done in this build.
          for (const other of waitsFor) {
            assert.ok(["build", "reuse"].includes(made.get(other)?.action ?? ""));
          }
          if (action === "build") {
            assert.deepEqual(new Set(waitsFor), new Set(node.derivation.inputDerivations.keys()));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("building what is planned, and planning again, leaves nothing to build", () => {
    fc.assert(
      fc.property(sketches, (sketch) => {
        const scene = draw(sketch);
        const derivations = new Map(scene.all.map((made) => [made.drvPath, made.derivation]));
        const graph = makeGraph(
          derivations,
          new Map(scene.wanted.map(({ drvPath }) => [drvPath, ["out"]])),
        );
        const done = new Map<
          StorePath,
          { drvHash: ReturnType<typeof derivationHash>; outputs: Outputs }
        >();
        const chosen = new Map<EquivalenceClass, StorePath>();
        const built: string[] = [];
        for (;;) {
          const made = makePlan(graph, scene.known, { done, chosen, made: new Set() });
          const next = [...made.plan.values()].find(
            ({ action, waitsFor }) =>
              (action === "build" || action === "reuse") &&
              [...waitsFor].every((input) => done.has(input)),
          );
          if (next === undefined) {
            assert.ok(
              [...made.plan.values()].every(({ action }) => action === "none" || action === "done"),
            );
            break;
          }
          const { drvPath, derivation: one } = next.node;
          const drvHash = derivationHash(
            one,
            (input) =>
              done.get(input)?.outputs.get("out") ?? made.plan.get(input)?.outputs?.get("out"),
          );
          const key = equivalenceClass(drvHash, "out");
          // A builder makes something new each time it runs.
          const path =
            next.action === "reuse"
              ? next.outputs?.get("out")
              : realisation(one.name, 100 + done.size);
          assert.ok(path !== undefined);
          if (next.action === "build") {
            built.push(one.name);
            scene.known.add(key, path);
            scene.known.present.add(path);
          }
          done.set(drvPath, { drvHash, outputs: new Map([["out", path]]) });
          for (const [at, to] of wholeClosure(scene.known, key, path) ?? []) {
            assert.equal(chosen.get(at) ?? to, to, "two paths of one class");
            chosen.set(at, to);
          }
        }
        assert.equal(new Set(built).size, built.length, "built twice");
        for (const { drvPath } of scene.wanted) assert.ok(done.has(drvPath));
      }),
      { numRuns: 1000 },
    );
  });
});
