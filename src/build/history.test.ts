// Builders that make something else each time they run, and builds that use what others left: no build ever mixes two results of one
// derivation, and what it could use it does use. Random histories, compared with every possibility there is.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import { type EquivalenceClass, equivalenceClass } from "../store/database/realizations.ts";
import { Choices, realizationsOf } from "./choices.ts";
import type { Chosen } from "./choose-realization.ts";
import { rememberedHash } from "./derivation-hash.ts";
import { type DerivationGraph, makeGraph } from "./graph.ts";
import {
  History,
  keyOf,
  type Member,
  type Members,
  type Sketch,
  sketches,
} from "./history.test.support.ts";
import { makePlan, type Plan, type PlannedDerivation } from "./plan.ts";

/** The same ones each time; KILN_HISTORIES=N tries so many others. */
const asked = process.env["KILN_HISTORIES"];
const cases = Number(asked ?? 10_000);
const seed = asked === undefined ? { seed: 1 } : {};

/** What rests on one output of a derivation that is built anew must not decide which result of another output is left. */
const siblingRuledOut: Sketch = {
  derivations: [
    { kind: 0, salt: 1, inputs: [], isDouble: true, isRandom: true },
    { kind: 0, salt: 0, inputs: [], isDouble: true, isRandom: true },
    { kind: 1, salt: 0, inputs: [9, 0], isDouble: false, isRandom: false },
    { kind: 1, salt: 0, inputs: [13, 2], isDouble: false, isRandom: true },
    { kind: 1, salt: 0, inputs: [7, 11], isDouble: true, isRandom: true },
  ],
  builds: [
    { wanted: [6, 2], deleted: [], isClean: false },
    { wanted: [0], deleted: [], isClean: true },
    { wanted: [9], deleted: [], isClean: false },
    { wanted: [0], deleted: [], isClean: false },
  ],
  chance: [1, 3, 0, 0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0, 3, ...Array.from({ length: 25 }, () => 0)],
};

/** What the cases were about. */
const counts = {
  builds: 0,
  /** Outputs that had two or more results to choose from. */
  several: 0,
  reused: 0,
  built: 0,
};

/** What is known to be in the closure of `member`, itself included: whatever any build has put below what is below it. */
function knownClosure(history: History, member: Member): Members {
  const closure: Members = new Map();
  const stack = [member];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (closure.has(keyOf(top))) continue;
    closure.set(keyOf(top), top);
    for (const { producer, path } of history.references(top.equivalence, top.path)) {
      if (producer !== undefined) stack.push({ equivalence: producer, path });
    }
  }
  return closure;
}

/**
 * Every way to give each of `classes` a path that is there, so that all closures together have one path for each class. What was chosen
 * before is not questioned.
 */
function possibilities(
  history: History,
  classes: readonly EquivalenceClass[],
  chosen: Chosen,
): StorePath[][] {
  const [first, ...others] = classes;
  if (first === undefined) return [[]];
  const known = chosen.get(first);
  const candidates =
    known === undefined ? history.candidates(first) : known === null ? [] : [known];
  return candidates
    .filter((path) => history.isPresent(path))
    .flatMap((path) => {
      const closure =
        known === path ? [] : knownClosure(history, { equivalence: first, path }).values();
      const merged = new Map(chosen);
      for (const { equivalence, path: at } of closure) {
        const before = merged.get(equivalence);
        if (before !== undefined && before !== at) return [];
        merged.set(equivalence, at);
      }
      return possibilities(history, others, merged).map((rest) => [path, ...rest]);
    });
}

class ModelBuild {
  readonly #history: History;
  readonly #graph: DerivationGraph;
  readonly #choices: Choices;
  /** All that this build has made and used, with its closure, by a record of its own. */
  readonly #used = new Map<string, { readonly member: Member; readonly closure: Members }>();

  constructor(history: History, graph: DerivationGraph) {
    this.#history = history;
    this.#graph = graph;
    this.#choices = new Choices(history);
  }

  run(): void {
    counts.builds++;
    for (let isFirst = true; ; isFirst = false) {
      const { plan } = makePlan(this.#graph, this.#history, this.#choices);
      if (isFirst || this.#history.chance(4) === 0) this.#compare(plan);
      const next = this.#next(plan);
      if (next === undefined) break;
      if (next.action === "build") this.#build(next);
      else this.#reuse(next);
      this.#checkUnmixed();
    }
    for (const [drvPath, outputs] of this.#graph.wanted) {
      for (const output of outputs) {
        const path = this.#choices.outputOf(drvPath, output);
        assert.ok(path !== undefined && this.#history.isPresent(path), "what is wanted is there");
      }
    }
  }

  /** Something that waits for nothing: what is reused first, then what chance picks. */
  #next(plan: Plan): PlannedDerivation | undefined {
    const ready = [...plan.values()].filter(
      ({ action, waitsFor }) =>
        (action === "reuse" || action === "build") &&
        [...waitsFor].every((input) => this.#choices.done.has(input)),
    );
    const reused = ready.find(({ action }) => action === "reuse");
    if (reused !== undefined || ready.length === 0) return reused;
    return ready[this.#history.chance(ready.length)];
  }

  #inputsOf({ node }: PlannedDerivation): Member[] {
    return [...node.derivation.inputDerivations].flatMap(([input, outputs]) => {
      const done = this.#choices.done.get(input);
      assert.ok(done !== undefined, "inputs are there before a builder runs");
      return outputs.map((output) => ({
        equivalence: equivalenceClass(done.drvHash, output),
        path: done.outputs.get(output)!,
      }));
    });
  }

  /** The plan is right: each derivation has the only possibility there is, given what was chosen before it. */
  #compare(plan: Plan): void {
    const chosen = new Map(this.#choices.chosen);
    const renewed = new Set(
      [...plan.values()].flatMap(({ action, drvHash, node }) =>
        action !== "build" || drvHash === undefined
          ? []
          : [...node.derivation.outputs.keys()].map((output) => equivalenceClass(drvHash, output)),
      ),
    );
    for (const { node, action, outputs, drvHash, isPresent } of plan.values()) {
      if (action === "done" || drvHash === undefined) continue;
      const classes = node.outputs.map((output) => equivalenceClass(drvHash, output));
      const found = possibilities(this.#history, classes, chosen);
      const single = classes.map((one) => possibilities(this.#history, [one], chosen).length);
      if (classes.some((one) => this.#history.candidates(one).length > 1)) counts.several++;
      const paths = node.outputs.map((output) => outputs?.get(output));
      if (isPresent) assert.deepEqual(found, [paths], "what is used is the only possibility");
      else if (found.length === 1) {
        // Which of several for one output fit with which for another is not tried out; and nothing is used that rests on something
        // that is made anew in this build.
        const rests = classes.flatMap((equivalence, i) => [
          ...knownClosure(this.#history, { equivalence, path: found[0]![i]! }).values(),
        ]);
        assert.ok(
          single.every((count) => count > 1) ||
            rests.some(({ equivalence }) => renewed.has(equivalence)),
          `the only possibility is used: ${found.join(" ")}`,
        );
      }
      for (const [i, equivalence] of classes.entries()) {
        const path = paths[i];
        if (path === undefined) continue;
        for (const member of knownClosure(this.#history, { equivalence, path }).values()) {
          chosen.set(member.equivalence, member.path);
        }
      }
    }
  }

  #reuse({ node, drvHash, outputs }: PlannedDerivation): void {
    counts.reused++;
    assert.ok(drvHash !== undefined && outputs !== undefined);
    this.#choices.finish(node.drvPath, { drvHash, outputs, isMade: false });
    for (const [output, path] of outputs) {
      const member = { equivalence: equivalenceClass(drvHash, output), path };
      // What this build has made itself has the closure that it has here.
      if (this.#used.has(keyOf(member))) continue;
      this.#used.set(keyOf(member), { member, closure: this.#history.closureOf(member) });
    }
  }

  #build(planned: PlannedDerivation): void {
    counts.built++;
    const { node } = planned;
    const made = this.#history.derivations.find(({ drvPath }) => drvPath === node.drvPath)!;
    const inputs = this.#inputsOf(planned);
    const drvHash = rememberedHash(node.derivation, (input, output) =>
      this.#choices.outputOf(input, output),
    );
    const classes = Array.from(made.derivation.outputs.keys(), (output) =>
      equivalenceClass(drvHash, output),
    );
    using _work = this.#choices.beginWork(classes);
    const infos = this.#history.run(made, inputs) as ReadonlyMap<string, ObjectInfo>;
    const realizations = realizationsOf(drvHash, infos, () =>
      this.#choices.producersOfInputs(node.derivation),
    );
    this.#choices.check(realizations);
    const used = inputs.flatMap((input) => this.#used.get(keyOf(input)) ?? []);
    assert.equal(used.length, inputs.length);
    const closures = this.#history.record(realizations, used);
    for (const member of realizations) {
      const closure = closures.get(keyOf(member)) ?? new Map<string, Member>();
      this.#used.set(keyOf(member), { member, closure });
    }
    this.#choices.finish(node.drvPath, {
      drvHash,
      outputs: new Map(Array.from(infos, ([output, { storePath }]) => [output, storePath])),
      isMade: true,
    });
  }

  #checkUnmixed(): void {
    const paths = new Map<EquivalenceClass, StorePath>();
    const all = [...this.#used.values()].flatMap(({ member, closure }) => [
      member,
      ...closure.values(),
    ]);
    for (const { equivalence, path } of all) {
      assert.equal(
        paths.get(equivalence) ?? path,
        path,
        "two results of one derivation in a build",
      );
      paths.set(equivalence, path);
    }
  }
}

function live(sketch: Sketch): void {
  const history = new History(sketch);
  const { derivations } = history;
  const all = new Map(derivations.map(({ drvPath, derivation }) => [drvPath, derivation]));
  for (const build of sketch.builds) {
    history.begin(build);
    const wanted = new Map(
      build.wanted.map((at) => {
        const { drvPath, derivation } = derivations[at % derivations.length]!;
        return [drvPath, [...derivation.outputs.keys()]] as const;
      }),
    );
    const graph = makeGraph(all, wanted);
    new ModelBuild(history, graph).run();
  }
}

describe("builders that make something else each time", () => {
  test("never get into one build with two of their results, whatever was built before", (t) => {
    fc.assert(fc.property(sketches, live), {
      numRuns: cases,
      examples: [[siblingRuledOut]],
      ...seed,
    });
    const { builds, several, reused, built } = counts;
    const text = `${cases} random histories: ${builds} builds, ${built} builders run, ${reused} results reused, ${several} times with several to choose from`;
    t.diagnostic(text);
    console.log(text);
    assert.ok(several > cases / 4, text);
  });
});
