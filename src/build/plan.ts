/**
 * What has to be done for a build, found out before anything is done. Pure: the same graph and the same snapshot give the same plan.
 *
 * Upwards, inputs first: which realisation would each derivation have? For that the *paths* of its inputs must be known, not their
 * objects: a realisation whose object is gone will do, and is then an assumption.
 *
 * Downwards, targets first: what is needed? An output that is there needs nothing. One that is not needs its derivation built,
 * and that needs the outputs of the inputs. So nothing is built that a usable realisation makes unnecessary.
 */
import type { Derivation } from "../format/derivation/derivation.ts";
import { outputPathOf } from "../format/derivation/derivation.ts";
import type { Hash } from "../format/hash.ts";
import { outputObjectName } from "../format/path-digest.ts";
import { nameOf, type StorePath } from "../format/store-path.ts";
import { type EquivalenceClass, equivalenceClass } from "../store/database/realizations.ts";
import {
  type Choice,
  type Chosen,
  chooseRealizations,
  type RealizationSnapshot,
} from "./choose-realization.ts";
import { rememberedHash } from "./derivation-hash.ts";
import type { DerivationGraph, GraphNode } from "./graph.ts";

/** Output paths by output name. */
export type Outputs = ReadonlyMap<string, StorePath>;

/** What this build already brought about; a plan never questions it. */
export interface Facts {
  /** Derivations that are done, with their outputs. */
  readonly done: ReadonlyMap<StorePath, { readonly drvHash: Hash; readonly outputs: Outputs }>;
  /** The classes that were chosen by it. */
  readonly chosen: Chosen;
  /** Those of them whose paths it has made. */
  readonly made: ReadonlySet<EquivalenceClass>;
}

export interface PlannedDerivation {
  readonly node: GraphNode;
  /**
   * `reuse`: its outputs are there. `build`: they are needed and have to be made. `none`: nobody needs them (they may be there).
   * `done`: this build has dealt with it.
   */
  readonly action: "reuse" | "build" | "none" | "done";
  /** Whether it is built only to compare what comes out with what is there: nothing waits for it, or uses it. */
  readonly isCheck: boolean;
  /** Undefined when it depends on what has to be built. */
  readonly drvHash: Hash | undefined;
  /** The outputs it has, or would have; undefined when that is not known. */
  readonly outputs: Outputs | undefined;
  /** Whether all of them are in the store. */
  readonly isPresent: boolean;
  /** Derivations that must be done before this one can be. */
  readonly waitsFor: ReadonlySet<StorePath>;
  /** How the search for realisations ended, where there was one. */
  readonly choice: Choice | undefined;
}

export type Plan = ReadonlyMap<StorePath, PlannedDerivation>;

/** The path of the only output if it is fixed. */
export function fixedOutput(derivation: Derivation): StorePath | undefined {
  return outputPathOf(derivation, "out");
}

/** `checked`: what is to be built although it is there, to see whether the same comes out. */
export function makePlan(
  graph: DerivationGraph,
  snapshot: RealizationSnapshot,
  facts: Facts,
  checked: ReadonlySet<StorePath> = none,
): { readonly plan: Plan; readonly chosen: Chosen } {
  const chosen = new Map(facts.chosen);
  for (;;) {
    const made = planOnce(graph, snapshot, { ...facts, chosen }, checked);
    const refutable = refutableClasses(made, snapshot, facts.made);
    if (refutable.length === 0) return made;
    for (const equivalence of refutable) chosen.set(equivalence, null);
  }
}

function planOnce(
  graph: DerivationGraph,
  snapshot: RealizationSnapshot,
  facts: Facts,
  checked: ReadonlySet<StorePath>,
): { readonly plan: Plan; readonly chosen: Chosen } {
  const chosen = new Map(facts.chosen);
  const found = new Map<StorePath, Found>();
  for (const node of graph.nodes.values()) {
    found.set(node.drvPath, find(node, { snapshot, facts, chosen, found }));
  }
  const isCheck = ({ node, isPresent }: Found): boolean => isPresent && checked.has(node.drvPath);
  const needed = findNeeded(graph, found, isCheck);
  const plan = new Map<StorePath, PlannedDerivation>();
  /** For each derivation those whose building may refute what was assumed of it. */
  const unsettled = new Map<StorePath, ReadonlySet<StorePath>>();
  for (const [drvPath, result] of found) {
    const { node } = result;
    const inputs = [...node.derivation.inputDerivations.keys()];
    const isFixed = fixedOutput(node.derivation) !== undefined;
    const doubts = result.isDone || isFixed ? none : doubtsOf(inputs, plan, unsettled);
    // What may turn out to be something else cannot be compared with anything yet.
    const again = isCheck(result) && doubts.size === 0;
    const action = again ? "build" : result.isDone ? "done" : actionOf(drvPath, result, needed);
    unsettled.set(drvPath, action === "none" ? doubts : none);
    const made = inputs.filter((input) => plan.get(input)?.isCheck === false);
    const waitsFor = action === "build" ? new Set(made) : action === "reuse" ? doubts : none;
    const { drvHash, outputs, isPresent, choice } = result;
    plan.set(drvPath, {
      node,
      action,
      isCheck: again,
      drvHash,
      outputs,
      isPresent,
      waitsFor,
      choice,
    });
  }
  return { plan, chosen };
}

/**
 * Classes of which something would be used that is in the closure of what is there, while their derivation is built in the same
 * build: what comes out may be something else, and a build must not have both.
 */
function refutableClasses(
  { plan, chosen }: { readonly plan: Plan; readonly chosen: Chosen },
  snapshot: RealizationSnapshot,
  made: ReadonlySet<EquivalenceClass>,
): EquivalenceClass[] {
  const built = classesToBuild(plan);
  if (built.size === 0) return [];
  const used = new Set<EquivalenceClass>();
  for (const { action, choice, waitsFor, drvHash, node } of plan.values()) {
    if (action === "done" || waitsFor.size > 0 || choice?.type !== "found") continue;
    if (drvHash === undefined) continue;
    for (const output of node.outputs) {
      const equivalence = equivalenceClass(drvHash, output);
      if (!made.has(equivalence)) used.add(equivalence);
    }
  }
  // A set is walked in the order in which it grows.
  for (const equivalence of used) {
    const path = chosen.get(equivalence);
    if (path === undefined || path === null) continue;
    for (const { producer } of snapshot.references(equivalence, path)) {
      if (producer !== undefined) used.add(producer);
    }
  }
  const refutable = new Set([...used].filter((one) => built.has(one) && chosen.get(one) !== null));
  // With one output of a derivation all of them are made anew.
  return [...plan.values()]
    .filter(({ action }) => action === "build")
    .map(classesOf)
    .filter((classes) => classes.some((one) => refutable.has(one)))
    .flat();
}

/** Classes of which this plan makes something, whatever is known of them. */
export function classesToBuild(plan: Plan): Set<EquivalenceClass> {
  const built = new Set<EquivalenceClass>();
  for (const planned of plan.values()) {
    const { action, isCheck, node } = planned;
    if (action !== "build" || isCheck || fixedOutput(node.derivation) !== undefined) continue;
    for (const equivalence of classesOf(planned)) built.add(equivalence);
  }
  return built;
}

/** The classes of all its outputs; none where they are not known. */
function classesOf({ node, drvHash }: PlannedDerivation): EquivalenceClass[] {
  if (drvHash === undefined) return [];
  return [...node.derivation.outputs.keys()].map((output) => equivalenceClass(drvHash, output));
}

const none: ReadonlySet<StorePath> = new Set();

interface Found {
  readonly node: GraphNode;
  readonly drvHash: Hash | undefined;
  readonly outputs: Outputs | undefined;
  readonly isPresent: boolean;
  readonly isDone: boolean;
  readonly choice: Choice | undefined;
}

interface Search {
  readonly snapshot: RealizationSnapshot;
  readonly facts: Facts;
  readonly chosen: Map<EquivalenceClass, StorePath | null>;
  readonly found: ReadonlyMap<StorePath, Found>;
}

function find(node: GraphNode, search: Search): Found {
  const { derivation, drvPath } = node;
  const done = search.facts.done.get(drvPath);
  if (done !== undefined) {
    return { node, ...done, isPresent: true, isDone: true, choice: undefined };
  }
  const fixed = fixedOutput(derivation);
  const drvHash = hashOf(derivation, search.found);
  if (drvHash === undefined) return unknown(node, undefined, undefined);
  if (fixed !== undefined) {
    search.chosen.set(equivalenceClass(drvHash, "out"), fixed);
    const outputs = new Map([["out", fixed]]);
    const isPresent = search.snapshot.isPresent(fixed);
    return { node, drvHash, outputs, isPresent, isDone: false, choice: undefined };
  }
  const classes = node.outputs.map((output) => equivalenceClass(drvHash, output));
  const fitting = {
    chosen: search.chosen,
    made: search.facts.made,
    snapshot: wellNamed(search.snapshot, node, classes),
  };
  const present = chooseRealizations(classes, fitting);
  const choice = present.type === "none" ? chooseRealizations(classes, fitting, "known") : present;
  if (choice.type !== "found") return unknown(node, drvHash, choice);
  for (const [equivalence, path] of choice.adopted) search.chosen.set(equivalence, path);
  const outputs = new Map<string, StorePath>();
  for (const [i, name] of node.outputs.entries()) {
    // It may have been chosen before, as a part of something else.
    const equivalence = classes[i];
    const path = equivalence && search.chosen.get(equivalence);
    if (path !== undefined && path !== null) outputs.set(name, path);
  }
  const isPresent = present.type === "found";
  return { node, drvHash, outputs, isPresent, isDone: false, choice: present };
}

/** The same, without paths whose names are not those that outputs of this derivation have: somebody has written down nonsense. */
function wellNamed(
  snapshot: RealizationSnapshot,
  { derivation, outputs }: GraphNode,
  classes: readonly EquivalenceClass[],
): RealizationSnapshot {
  const names = new Map(
    classes.map((one, i) => [one, outputObjectName(derivation.name, outputs[i] ?? "")]),
  );
  return {
    candidates: (one) =>
      snapshot.candidates(one).filter((path) => nameOf(path) === (names.get(one) ?? nameOf(path))),
    references: (one, path) => snapshot.references(one, path),
    isPresent: (path) => snapshot.isPresent(path),
  };
}

function unknown(node: GraphNode, drvHash: Hash | undefined, choice: Choice | undefined): Found {
  return { node, drvHash, outputs: undefined, isPresent: false, isDone: false, choice };
}

/** Undefined when the path of an input is not known. */
function hashOf(derivation: Derivation, found: ReadonlyMap<StorePath, Found>): Hash | undefined {
  if (fixedOutput(derivation) === undefined) {
    for (const [input, outputs] of derivation.inputDerivations) {
      const known = found.get(input)?.outputs;
      if (known === undefined || outputs.some((output) => !known.has(output))) return undefined;
    }
  }
  return rememberedHash(derivation, (input, output) => found.get(input)?.outputs?.get(output));
}

function findNeeded(
  graph: DerivationGraph,
  found: ReadonlyMap<StorePath, Found>,
  isCheck: (found: Found) => boolean,
): Set<StorePath> {
  const needed = new Set<StorePath>();
  const stack = [...graph.wanted.keys()];
  for (let drvPath = stack.pop(); drvPath !== undefined; drvPath = stack.pop()) {
    if (needed.has(drvPath)) continue;
    needed.add(drvPath);
    const result = found.get(drvPath);
    if (result === undefined || (result.isPresent && !isCheck(result))) continue;
    stack.push(...result.node.derivation.inputDerivations.keys());
  }
  return needed;
}

function actionOf(
  drvPath: StorePath,
  { isPresent }: Found,
  needed: ReadonlySet<StorePath>,
): "reuse" | "build" | "none" {
  if (!needed.has(drvPath)) return "none";
  return isPresent ? "reuse" : "build";
}

/** Which of what is done for this build may show that the assumed paths of these inputs are wrong. */
function doubtsOf(
  inputs: readonly StorePath[],
  plan: Plan,
  unsettled: ReadonlyMap<StorePath, ReadonlySet<StorePath>>,
): Set<StorePath> {
  const doubts = new Set<StorePath>();
  for (const input of inputs) {
    const planned = plan.get(input);
    if (planned === undefined) continue;
    const isFixed = fixedOutput(planned.node.derivation) !== undefined;
    if (planned.action === "build" && !planned.isCheck && !isFixed) doubts.add(input);
    if (planned.action === "reuse" && planned.waitsFor.size > 0) doubts.add(input);
    for (const doubt of unsettled.get(input) ?? none) doubts.add(doubt);
  }
  return doubts;
}
