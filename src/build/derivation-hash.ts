import type { Derivation } from "../format/derivation/derivation.ts";
import { derivationHash, type RealizationLookup } from "../format/derivation/hash.ts";
import type { Hash } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";

interface Known {
  readonly inputs: readonly (StorePath | undefined)[];
  readonly hash: Hash;
}

/** The hash each derivation had last: planning the same thing again finds the same inputs nearly always. */
const known = new WeakMap<Derivation, Known>();

/** As {@link derivationHash}, remembered. */
export function rememberedHash(derivation: Derivation, lookup: RealizationLookup): Hash {
  const inputs: (StorePath | undefined)[] = [];
  for (const [input, outputs] of derivation.inputDerivations) {
    for (const output of outputs) inputs.push(lookup(input, output));
  }
  const before = known.get(derivation);
  if (before !== undefined && before.inputs.every((path, i) => path === inputs[i])) {
    return before.hash;
  }
  const hash = derivationHash(derivation, lookup);
  known.set(derivation, { inputs, hash });
  return hash;
}
