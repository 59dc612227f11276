/**
 * Which earlier outputs a build may use.
 *
 * Two builders may have made different things of the same inputs. A build must not end up with both: whatever it uses
 * of an equivalence class, and whatever that refers to, has to be one path per class. So a realisation is taken only with the
 * classes of its whole closure, and only if exactly one can be taken: of several none is better than another.
 */
import type { StorePath } from "../format/store-path.ts";
import type { EquivalenceClass, ReferenceClass } from "../store/database/realizations.ts";

/** What is known of earlier builds, at one moment. */
export interface RealizationSnapshot {
  /** Paths that this build may use for the class, present or not. */
  candidates(equivalence: EquivalenceClass): readonly StorePath[];
  /** Direct references of a realisation, with the classes that produced them. */
  references(equivalence: EquivalenceClass, path: StorePath): readonly ReferenceClass[];
  /** Whether the object is in the store. */
  isPresent(path: StorePath): boolean;
}

/** The one path that a build uses of each class; `null` for a class that is being built, so that there is none yet. */
export type Chosen = ReadonlyMap<EquivalenceClass, StorePath | null>;

export type Choice =
  | {
      readonly type: "found";
      /** What is to be chosen from now on: the classes asked for and those of their closures. */
      readonly adopted: ReadonlyMap<EquivalenceClass, StorePath>;
    }
  /** A class has no candidate that can be used: `incompatible` are those whose closures do not fit. */
  | { readonly type: "none"; readonly incompatible: readonly StorePath[] }
  /** A class has several that can be used. */
  | { readonly type: "several"; readonly paths: readonly StorePath[] };

/** Which paths come into question: those in the store, or, where none of these fits, also those that were there once. */
export type Reach = "present" | "known";

/** What a choice has to fit. */
export interface ChoiceContext {
  readonly chosen: Chosen;
  /** Classes whose chosen paths this build has made itself: nobody has looked at what earlier builds know to be below them. */
  readonly made?: ReadonlySet<EquivalenceClass>;
  readonly snapshot: RealizationSnapshot;
}

/** Finds a realisation for each of `classes` which together fit what was chosen. */
export function chooseRealizations(
  classes: readonly EquivalenceClass[],
  context: ChoiceContext,
  reach: Reach = "present",
): Choice {
  const adopted = new Map<EquivalenceClass, StorePath>();
  const open = new Set(classes);
  // A choice may leave only one for another class, so those wait that have several.
  while (open.size > 0) {
    let several: readonly StorePath[] = [];
    let isNewlyChosen = false;
    for (const equivalence of open) {
      const options = fittingOptions(equivalence, { ...context, adopted }, reach);
      const [option, ...others] = options.fitting;
      if (option === undefined) return { type: "none", incompatible: options.unfitting };
      if (others.length > 0) {
        several = options.fitting.map(({ path }) => path);
        continue;
      }
      for (const [key, path] of option.closure) adopted.set(key, path);
      open.delete(equivalence);
      isNewlyChosen = true;
    }
    if (!isNewlyChosen) return { type: "several", paths: several };
  }
  return { type: "found", adopted };
}

interface Context extends ChoiceContext {
  readonly adopted: Chosen;
}

interface Options {
  readonly fitting: readonly {
    readonly path: StorePath;
    readonly closure: ReadonlyMap<EquivalenceClass, StorePath>;
  }[];
  /** Present, but in conflict with what was chosen. */
  readonly unfitting: readonly StorePath[];
}

function fittingOptions(equivalence: EquivalenceClass, context: Context, reach: Reach): Options {
  const paths = optionsFor(equivalence, context);
  const present = paths.filter((path) => context.snapshot.isPresent(path));
  const check = (list: readonly StorePath[]): Options["fitting"] =>
    list.flatMap((path) => {
      const closure = closureOf(equivalence, path, context);
      return closure === undefined ? [] : [{ path, closure }];
    });
  const fitting = check(present);
  if (fitting.length > 0 || reach === "present") return { fitting, unfitting: present };
  const absent = paths.filter((path) => !present.includes(path));
  return { fitting: check(absent), unfitting: present };
}

/** What was chosen is the only option, also where it is not among the candidates. */
function optionsFor(
  equivalence: EquivalenceClass,
  { chosen, adopted, snapshot }: Context,
): readonly StorePath[] {
  const known = adopted.get(equivalence) ?? chosen.get(equivalence);
  if (known === null) return [];
  return known === undefined ? snapshot.candidates(equivalence) : [known];
}

/**
 * The classes of the closure of `path` that were not chosen yet, itself included; undefined when they do not fit what was chosen, or
 * each other. Below what was chosen nothing needs to be looked at: it was chosen with its closure. Unless this build has made it:
 * other builds may have made the same of inputs that do not fit, and it is their results that are in question.
 */
function closureOf(
  equivalence: EquivalenceClass,
  path: StorePath,
  { chosen, made, adopted, snapshot }: Context,
): Map<EquivalenceClass, StorePath> | undefined {
  const closure = new Map<EquivalenceClass, StorePath>();
  const stack: [EquivalenceClass, StorePath][] = [[equivalence, path]];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [key, at] = top;
    const known = closure.get(key) ?? adopted.get(key) ?? chosen.get(key);
    if (known !== undefined && known !== at) return undefined;
    const isAsked = key === equivalence;
    const isSettled = known === at && (isAsked || made?.has(key) !== true);
    if (isSettled || closure.has(key)) continue;
    closure.set(key, at);
    for (const { producer, path: reference } of snapshot.references(key, at)) {
      if (producer !== undefined) stack.push([producer, reference]);
    }
  }
  return closure;
}
