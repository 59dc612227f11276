/**
 * From what a builder left to objects of the store.
 *
 * A floating output is known by a temporary path while it is built. What it says of itself and of the other outputs is then
 * rewritten to the final paths, which follow from the content. So an output that mentions another one must wait for the path of
 * that one, and outputs that mention each other in a circle can have no paths.
 */
import { sortedSet } from "../../util/byte-string.ts";
import { dumpNar, hashTree } from "../../files/dump.ts";
import { inSlices } from "../../files/slices.ts";
import { defaultOutput, type Derivation } from "../../format/derivation/derivation.ts";
import type { ObjectInfo } from "../../format/object-info.ts";
import { storePathOf } from "../../format/path-digest.ts";
import {
  type MachoBufferCreator,
  SelfReferenceAnalyzer,
} from "../../format/references/self-references.ts";
import { digestOf, directoryOf, nameOf, type StorePath } from "../../format/store-path.ts";
import type { Publication, Store } from "../../store/store.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { topoSort } from "../../util/topo-sort.ts";
import { verifyFixedOutput } from "./fixed.ts";
import { rewriteTree } from "./rewrite.ts";
import { longestPathIn, refuse, type Scan, scanOutput, thaw } from "./scan.ts";

/** An output as its builder left it. */
export interface MadeOutput {
  readonly name: string;
  /** The path the builder knew it by. */
  readonly logical: StorePath;
  /** Where it lies. */
  readonly tree: string;
}

export interface RegistrationOptions {
  readonly store: Store;
  /** What outputs can refer to: the closure of the inputs. */
  readonly inputs: readonly StorePath[];
  readonly buffers?: MachoBufferCreator | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the outputs are, by name, before they are objects. What it gives writes that down in the transaction that makes them so. */
export type Recorder = (infos: ReadonlyMap<string, ObjectInfo>) => () => void;

export interface Registered {
  /** By output name. */
  readonly infos: ReadonlyMap<string, ObjectInfo>;
  /** Those that were not there before. */
  readonly added: readonly ObjectInfo[];
}

/**
 * Makes objects of all outputs of a derivation. The trees are used up.
 *
 * @param options.lock that of a fixed output's path, held by the caller
 * @param options.onPlaced called when new floating outputs lie where they belong, before they are objects
 * @throws KilnError of kind `builder` for what can be no object or not the right one; what publishing throws
 */
export async function registerOutputs(
  made: readonly MadeOutput[],
  derivation: Derivation,
  options: RegistrationOptions & {
    readonly lock: Disposable | undefined;
    readonly recorder: Recorder;
    readonly onPlaced?: (infos: ReadonlyMap<string, ObjectInfo>) => void;
  },
): Promise<Registered> {
  try {
    return await register(made, derivation, options);
  } catch (error) {
    throw asBuildersKnow(error, made);
  }
}

/** What is wrong with an output is told of the path that its builder knew, not of the place where it lies. */
function asBuildersKnow(error: unknown, made: readonly MadeOutput[]): unknown {
  if (!(error instanceof KilnError) || error.kind !== "builder") return error;
  let { message } = error;
  for (const { tree, logical } of made) message = message.replaceAll(tree, logical);
  if (message === error.message) return error;
  return new KilnError(error.code, message, { kind: error.kind, cause: error });
}

async function register(
  made: readonly MadeOutput[],
  derivation: Derivation,
  options: RegistrationOptions & {
    readonly lock: Disposable | undefined;
    readonly recorder: Recorder;
    readonly onPlaced?: (infos: ReadonlyMap<string, ObjectInfo>) => void;
  },
): Promise<Registered> {
  const { store, lock, recorder, onPlaced } = options;
  const [only] = made;
  const declared = derivation.outputs.get(defaultOutput);
  if (only !== undefined && declared?.type === "fixed") {
    const { info, frozenEntries } = await verifyFixedOutput(only, declared.ca, options);
    const infos = new Map([[only.name, info]]);
    const alongside = recorder(infos);
    const status = await store.publish(only.tree, info, { lock, frozenEntries, alongside });
    return { infos, added: status === "added" ? [info] : [] };
  }
  const finished = await finishFloatingOutputs(made, options);
  const infos = new Map(Array.from(finished, ([name, { info }]) => [name, info]));
  const statuses = await store.publishAll([...finished.values()], {
    alongside: recorder(infos),
    madeAt: Array.from(finished.keys(), (name) => logicalPathOf(made, name)),
    onPlaced: () => onPlaced?.(infos),
  });
  return { infos, added: [...infos.values()].filter((_, i) => statuses[i] === "added") };
}

/** The path that the builder knew the output by. */
function logicalPathOf(made: readonly MadeOutput[], name: string): StorePath {
  const output = made.find((one) => one.name === name);
  if (output === undefined) throw new Error(`nothing was made as ${name}`);
  return output.logical;
}

/**
 * Gives floating outputs their final content and paths, in an order in which each comes after those it refers to.
 *
 * @throws KilnError of kind `builder`: `output.cycle` and what {@link scanOutput} throws
 */
async function finishFloatingOutputs(
  outputs: readonly MadeOutput[],
  options: RegistrationOptions,
): Promise<Map<string, Publication>> {
  const temporary = new Map(outputs.map((output) => [digestOf(output.logical), output]));
  const inputs = new Map(options.inputs.map((path) => [digestOf(path), path]));
  const scans = new Map<MadeOutput, Scan>();
  for (const output of outputs) {
    scans.set(
      output,
      await scan(output, [...inputs.keys(), ...temporary.keys()], temporary, options),
    );
  }
  const finished = new Map<string, Publication>();
  for (const output of order(outputs, scans, temporary)) {
    const others = othersMentioned(output, scans, temporary);
    let final = scans.get(output);
    for (const other of others) {
      await replaceMention(output, other, finished, options);
      final = undefined;
    }
    // Rewriting has changed the content, and so its address.
    final ??= await scan(output, [...inputs.keys()], new Map(), options);
    const references = [...final.found]
      .flatMap((digest) => inputs.get(digest) ?? [])
      .concat(others.flatMap(({ name }) => finished.get(name)?.info.storePath ?? []));
    finished.set(output.name, await finish(output, final, references, options));
  }
  return finished;
}

function scan(
  output: MadeOutput,
  candidates: readonly string[],
  temporary: ReadonlyMap<string, MadeOutput>,
  { store, buffers, signal }: RegistrationOptions,
): Promise<Scan> {
  const digest = digestOf(output.logical);
  const replaceable = new Set(temporary.keys());
  const longestPath = longestPathIn(output.logical);
  const request = { store, digest, candidates, replaceable, longestPath, buffers, signal };
  return scanOutput(output.tree, request);
}

/** The other outputs whose temporary paths an output mentions. */
function othersMentioned(
  output: MadeOutput,
  scans: ReadonlyMap<MadeOutput, Scan>,
  temporary: ReadonlyMap<string, MadeOutput>,
): MadeOutput[] {
  const found = scans.get(output)?.found ?? new Set<string>();
  return [...temporary].flatMap(([digest, other]) =>
    other !== output && found.has(digest) ? [other] : [],
  );
}

/** Outputs before those that mention them. */
function order(
  outputs: readonly MadeOutput[],
  scans: ReadonlyMap<MadeOutput, Scan>,
  temporary: ReadonlyMap<string, MadeOutput>,
): readonly MadeOutput[] {
  const sorted = topoSort(outputs, (output) => othersMentioned(output, scans, temporary));
  if ("order" in sorted) return sorted.order;
  const names = [...sorted.cycle, ...sorted.cycle.slice(0, 1)].map(({ name }) => name);
  throw new KilnError("output.cycle", `outputs refer to each other: ${names.join(" -> ")}`, {
    kind: "builder",
  });
}

/** Writes the final path of `other` wherever `output` has its temporary one. */
async function replaceMention(
  output: MadeOutput,
  other: MadeOutput,
  finished: ReadonlyMap<string, Publication>,
  { buffers, signal }: RegistrationOptions,
): Promise<void> {
  const final = finished.get(other.name);
  if (final === undefined) throw new Error(`output ${other.name} has no path yet`);
  const from = digestOf(other.logical);
  // Seen from here the other output's digest is just what a self reference is: something to be exchanged for another.
  const analysis = await refuse(async () => {
    const analyzer = new SelfReferenceAnalyzer(from, buffers);
    await inSlices(dumpNar(output.tree), (chunk) => analyzer.write(chunk), signal);
    return analyzer.finish();
  });
  await thaw(output.tree, signal);
  await rewriteTree(output.tree, analysis, from, digestOf(final.info.storePath));
}

async function finish(
  { logical, tree }: MadeOutput,
  scanned: Scan,
  others: readonly StorePath[],
  { signal }: RegistrationOptions,
): Promise<Publication> {
  const { ca, self, frozenEntries } = scanned;
  const sorted = sortedSet(others);
  const storePath = storePathOf(directoryOf(logical), nameOf(logical), ca, {
    self,
    others: sorted,
  });
  let { narHash, narSize } = scanned;
  if (self) {
    await thaw(tree, signal);
    await rewriteTree(tree, scanned, digestOf(logical), digestOf(storePath));
    ({ narHash, narSize } = await hashTree(tree));
  }
  if (narHash === undefined) throw new Error("the NAR of what has no self references was hashed");
  const references = self ? sortedSet([...sorted, storePath]) : sorted;
  const info: ObjectInfo = { storePath, narHash, narSize, references, ca };
  return { tree, info, frozenEntries };
}
