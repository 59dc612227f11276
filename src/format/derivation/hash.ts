/**
 * The hash by which a derivation's results are known: derivations with equal hashes make the same thing, whatever the
 * derivations of their inputs were.
 */
import { sortedSet } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { sha256, type Hash } from "../hash.ts";
import { outputObjectName } from "../path-digest.ts";
import {
  derivationNameOf,
  digestLength,
  nameOf,
  storePathFor,
  type StorePath,
} from "../store-path.ts";
import { defaultOutput, outputPathOf, type Derivation } from "./derivation.ts";
import { expandDerivation, inputPlaceholder } from "./placeholders.ts";
import { derivationText, printMethod } from "./print.ts";

/** The store path that an output of an input derivation was realized as. */
export type RealizationLookup = (drvPath: StorePath, outputName: string) => StorePath | undefined;

/**
 * The hash of `derivation`. With a fixed output `out` it covers that output alone. Otherwise it covers the derivation with its
 * inputs as they were realized: their placeholders replaced, and their paths as input sources in the place of the derivations.
 *
 * @throws KilnError `drv.missingRealization` when `realizations` does not know an input, `drv.notRealizable` for other
 *   outputs beside a fixed `out`.
 */
export function derivationHash(derivation: Derivation, realizations: RealizationLookup): Hash {
  return fixedHash(derivation) ?? floatingHash(derivation, realizations);
}

/**
 * The hash of `derivation` before its inputs are realized: as {@link derivationHash}, with zeros for the digest of every input.
 * Derivations whose hashes will be equal have equal structural hashes; the reverse need not be so. It is never stored.
 */
export function structuralHash(derivation: Derivation): Hash {
  const { directory } = derivation;
  const withoutDigest = (name: string): StorePath =>
    storePathFor(directory, `${"0".repeat(digestLength)}-${name}`);
  const inputSources = sortedSet(
    derivation.inputSources.map((source) => withoutDigest(nameOf(source))),
  );
  return derivationHash({ ...derivation, inputSources }, (drvPath, outputName) =>
    withoutDigest(outputObjectName(derivationNameOf(drvPath), outputName)),
  );
}

function fixedHash(derivation: Derivation): Hash | undefined {
  const output = derivation.outputs.get(defaultOutput);
  const path = outputPathOf(derivation, defaultOutput);
  if (output?.type !== "fixed" || path === undefined) return undefined;
  if (derivation.outputs.size > 1) {
    throw new KilnError(
      "drv.notRealizable",
      `derivation ${derivation.name}: beside a fixed output there can be no other`,
    );
  }
  const method = printMethod(output.ca.method, output.ca.hash.base16());
  return sha256(`fixed:${defaultOutput}:${method}:${path}`);
}

function floatingHash(derivation: Derivation, realizations: RealizationLookup): Hash {
  const replacements = new Map<string, StorePath>();
  for (const [drvPath, outputNames] of derivation.inputDerivations) {
    for (const outputName of outputNames) {
      const path = realizations(drvPath, outputName);
      if (path === undefined) {
        throw new KilnError(
          "drv.missingRealization",
          `derivation ${derivation.name}: ${drvPath}!${outputName} is not realized`,
          { path: drvPath },
        );
      }
      replacements.set(inputPlaceholder(drvPath, outputName), path);
    }
  }
  const expanded: Derivation = {
    ...expandDerivation(derivation, replacements),
    inputDerivations: new Map(),
    inputSources: sortedSet([...derivation.inputSources, ...replacements.values()]),
  };
  return sha256(`floating:${derivation.name}:${derivationText(expanded)}`);
}
