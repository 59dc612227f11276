/** Why a derivation is built although something of that name may have been built before. */
import type { Derivation } from "../format/derivation/derivation.ts";
import { expandDerivation, inputPlaceholder } from "../format/derivation/placeholders.ts";
import { derivationNameOf, nameOf, type StorePath } from "../format/store-path.ts";
import type { ChangedSource, Reason, ReasonDetail } from "./events.ts";
import type { Plan, PlannedDerivation } from "./plan.ts";
import type { ReusePolicy } from "./snapshot.ts";

/** What is known of earlier builds. */
export interface History {
  readonly policy: ReusePolicy;
  /** The latest time that a derivation of this name was built. */
  lastBuilt(name: string): { readonly buildID: string; readonly drvPath: StorePath } | undefined;
  /** Undefined when it is not in the store any more. */
  derivation(drvPath: StorePath): Derivation | undefined;
  /** All paths known for the outputs of a derivation, whether they may be used or not. */
  knownPaths(planned: PlannedDerivation): readonly StorePath[];
}

export function reasonFor(planned: PlannedDerivation, plan: Plan, history: History): Reason {
  const { policy } = history;
  const known = history.knownPaths(planned);
  if (policy === "none") return { code: "cleanAsked" };
  if (planned.choice?.type === "several") {
    return { code: "incompatibleClosure", detail: { paths: planned.choice.paths } };
  }
  if (planned.choice?.type === "none" && planned.choice.incompatible.length > 0) {
    return { code: "incompatibleClosure", detail: { paths: planned.choice.incompatible } };
  }
  if (planned.outputs !== undefined && known.length > 0) {
    return { code: "outputMissing", detail: { paths: [...planned.outputs.values()] } };
  }
  if (policy !== "all" && known.length > 0) return { code: "untrusted", detail: { paths: known } };
  if (known.length > 0) return { code: "outputMissing", detail: { paths: known } };
  return comparedWithHistory(planned, plan, history);
}

function comparedWithHistory(planned: PlannedDerivation, plan: Plan, history: History): Reason {
  const { drvPath, derivation } = planned.node;
  const previous = history.lastBuilt(derivation.name);
  if (previous === undefined) return { code: "neverRealised" };
  if (previous.drvPath === drvPath) {
    const inputs = [...derivation.inputDerivations.keys()]
      .filter((input) => plan.get(input)?.action === "build")
      .map(derivationNameOf);
    return { code: "inputChanged", detail: { inputs, previous } };
  }
  const old = history.derivation(previous.drvPath);
  if (old === undefined) return { code: "derivationChanged", detail: { previous } };
  if (!areOfOneLineage(old, derivation)) return { code: "neverRealised" };
  const difference = compareDerivations(old, derivation);
  const isOwn = difference.changes !== undefined;
  return {
    code: isOwn ? "derivationChanged" : "inputChanged",
    detail: { ...difference, previous },
  };
}

/**
 * Whether one derivation may be what became of the other: two projects can have targets of one name, as `tests`, which differ in all
 * that makes a derivation. What is fetched is another thing when neither its address nor its content is the same.
 */
export function areOfOneLineage(old: Derivation, now: Derivation): boolean {
  if (old.builder.startsWith("builtin:") && old.builder === now.builder) {
    return old.env.get("url") === now.env.get("url") || outputsText(old) === outputsText(now);
  }
  const [a, b] = [named(old), named(now)];
  const traits = [
    ({ builder, args }: Derivation): unknown => [builder, ...args],
    ({ env }: Derivation): unknown => [...env.keys()].toSorted(),
    (derivation: Derivation): unknown => [...inputsByName(derivation).keys()].toSorted(),
  ];
  return traits.some((trait) => JSON.stringify(trait(a)) === JSON.stringify(trait(b)));
}

/**
 * What differs between two derivations of one name: their inputs, by name, and what they say themselves. Paths of inputs
 * count as what they are called, so that another version of an input is only a change of that input.
 */
export function compareDerivations(
  old: Derivation,
  now: Derivation,
): Pick<ReasonDetail, "inputs" | "sources" | "changes"> {
  const inputs = changedInputs(inputsByName(old), inputsByName(now));
  const sources = changedSources(old, now);
  const [a, b] = [named(old), named(now)];
  const changes: string[] = [];
  for (const member of ["system", "builder"] as const) {
    if (a[member] !== b[member]) changes.push(`${member} ${arrow(a[member], b[member])}`);
  }
  if (JSON.stringify(a.args) !== JSON.stringify(b.args)) changes.push("args");
  if (outputsText(a) !== outputsText(b)) changes.push("outputs");
  for (const name of new Set([...a.env.keys(), ...b.env.keys()])) {
    if (mirrored.has(name)) continue;
    const [was, is] = [a.env.get(name), b.env.get(name)];
    if (was !== is) changes.push(`env.${name} ${arrow(was, is)}`);
  }
  return {
    ...(inputs.length > 0 && { inputs }),
    ...(sources.length > 0 && { sources }),
    ...(changes.length > 0 && { changes }),
  };
}

/** Variables that say again what the derivation says itself. */
const mirrored: ReadonlySet<string> = new Set(["args", "builder", "system"]);

function outputsText({ outputs }: Derivation): string {
  const texts = Array.from(outputs, ([name, output]) =>
    output.type === "fixed"
      ? [name, output.ca.method, output.ca.hash.sri()]
      : [name, output.method, output.hashType],
  );
  return JSON.stringify(texts);
}

/** The paths of all inputs, by name. */
function inputsByName(derivation: Derivation): Map<string, Set<StorePath>> {
  const result = new Map<string, Set<StorePath>>();
  const add = (name: string, path: StorePath): void => {
    const paths = result.get(name) ?? new Set();
    result.set(name, paths.add(path));
  };
  for (const input of derivation.inputDerivations.keys()) add(derivationNameOf(input), input);
  for (const source of derivation.inputSources) add(nameOf(source), source);
  return result;
}

/** Sources that have another content now: there was one of that name, and there is one. */
function changedSources(old: Derivation, now: Derivation): ChangedSource[] {
  const was = Map.groupBy(old.inputSources, nameOf);
  const is = Map.groupBy(now.inputSources, nameOf);
  return [...was].flatMap(([name, [before, ...others]]) => {
    const [after, ...more] = is.get(name) ?? [];
    if (before === undefined || after === undefined || before === after) return [];
    return others.length + more.length > 0 ? [] : [{ name, was: before, is: after }];
  });
}

function changedInputs(
  a: ReadonlyMap<string, ReadonlySet<StorePath>>,
  b: ReadonlyMap<string, ReadonlySet<StorePath>>,
): string[] {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return names.filter((name) => {
    const [was, is] = [a.get(name), b.get(name)];
    return was === undefined || is === undefined || was.symmetricDifference(is).size > 0;
  });
}

/** The derivation with names in the place of paths of inputs. */
function named(derivation: Derivation): Derivation {
  const names = new Map<string, string>();
  for (const [input, outputs] of derivation.inputDerivations) {
    for (const output of outputs) {
      names.set(inputPlaceholder(input, output), `${derivationNameOf(input)}^${output}`);
    }
  }
  for (const source of derivation.inputSources) names.set(source, nameOf(source));
  return expandDerivation(derivation, names);
}

function arrow(was: string | undefined, is: string | undefined): string {
  return `${shown(was)} -> ${shown(is)}`;
}

function shown(text: string | undefined): string {
  if (text === undefined) return "unset";
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
