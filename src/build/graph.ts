/** The derivations of a build: who needs whom, and which outputs are used. */
import { setImmediate } from "node:timers/promises";
import type { Derivation } from "../format/derivation/derivation.ts";
import { structuralHash } from "../format/derivation/hash.ts";
import { checkRealizable } from "../format/derivation/validate.ts";
import type { StorePath } from "../format/store-path.ts";
import { compareBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import { topoSort } from "../util/topo-sort.ts";

/** What a build is to bring about: outputs of derivations. */
export type Wanted = ReadonlyMap<StorePath, readonly string[]>;

export interface GraphNode {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
  /**
   * Outputs that anything in this build uses, sorted. Derivations that may turn out to be the same count together: when one of
   * these outputs is taken from an earlier build and another is made anew, they would not fit together.
   */
  readonly outputs: readonly string[];
}

export interface DerivationGraph {
  readonly wanted: Wanted;
  /** Inputs first. */
  readonly nodes: ReadonlyMap<StorePath, GraphNode>;
}

/** Milliseconds of reading after which others get their turn. */
const sliceLength = 10;

/**
 * Reads `drvPaths` and all derivations they depend on.
 *
 * @throws KilnError what `read` throws
 */
export async function readClosure(
  drvPaths: Iterable<StorePath>,
  read: (drvPath: StorePath) => Promise<Derivation>,
): Promise<Map<StorePath, Derivation>> {
  const derivations = new Map<StorePath, Derivation>();
  const queue = [...drvPaths];
  let end = performance.now() + sliceLength;
  for (let drvPath = queue.pop(); drvPath !== undefined; drvPath = queue.pop()) {
    if (derivations.has(drvPath)) continue;
    const derivation = await read(drvPath);
    derivations.set(drvPath, derivation);
    queue.push(...derivation.inputDerivations.keys());
    if (performance.now() < end) continue;
    await setImmediate();
    end = performance.now() + sliceLength;
  }
  return derivations;
}

/**
 * Checks that every derivation can be built and that the outputs they use of each other exist, and brings them into order.
 *
 * @throws KilnError `drv.notRealizable`, `drv.noSuchOutput`, `build.cycle`
 */
export function makeGraph(
  derivations: ReadonlyMap<StorePath, Derivation>,
  wanted: Wanted,
): DerivationGraph {
  const get = (drvPath: StorePath): Derivation => {
    const derivation = derivations.get(drvPath);
    if (derivation === undefined) throw new Error(`derivation ${drvPath} was not read`);
    return derivation;
  };
  const sorted = topoSort(wanted.keys(), (drvPath) => get(drvPath).inputDerivations.keys());
  if ("cycle" in sorted) {
    const names = [...sorted.cycle, ...sorted.cycle.slice(0, 1)].map((path) => get(path).name);
    throw new KilnError("build.cycle", `a cycle: ${names.join(" -> ")}`);
  }
  const used = new UsedOutputs();
  for (const drvPath of sorted.order) {
    const derivation = get(drvPath);
    checkRealizable(derivation);
    used.declare(drvPath, derivation);
    for (const [input, outputs] of derivation.inputDerivations) {
      used.use(input, outputs, derivation.name);
    }
  }
  for (const [drvPath, outputs] of wanted) used.use(drvPath, outputs, "the request");
  const nodes = sorted.order.map((drvPath): [StorePath, GraphNode] => [
    drvPath,
    {
      drvPath,
      derivation: get(drvPath),
      outputs: used.of(drvPath),
    },
  ]);
  return { wanted, nodes: new Map(nodes) };
}

/** Which outputs are used, by derivation or, where there are several outputs, by structure. */
class UsedOutputs {
  readonly #declared = new Map<StorePath, ReadonlyMap<string, unknown>>();
  readonly #groups = new Map<StorePath, string>();
  readonly #used = new Map<string, Set<string>>();

  declare(drvPath: StorePath, derivation: Derivation): void {
    this.#declared.set(drvPath, derivation.outputs);
    const group = derivation.outputs.size > 1 ? structuralHash(derivation).base16() : drvPath;
    this.#groups.set(drvPath, group);
    if (!this.#used.has(group)) this.#used.set(group, new Set());
  }

  use(drvPath: StorePath, outputs: readonly string[], user: string): void {
    const declared = this.#declared.get(drvPath);
    for (const output of outputs) {
      if (declared?.has(output) !== true) {
        throw new KilnError(
          "drv.noSuchOutput",
          `${drvPath} has no output ${output}, which ${user} uses`,
          { path: drvPath },
        );
      }
      this.#used.get(this.#groups.get(drvPath) ?? "")?.add(output);
    }
  }

  of(drvPath: StorePath): string[] {
    const used = this.#used.get(this.#groups.get(drvPath) ?? "") ?? [];
    return [...used].toSorted(compareBytes);
  }
}
