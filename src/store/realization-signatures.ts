/** Signatures over the realisations that the store knows; what is signed is in format/signature.ts. */
import type * as document from "../format/realization.ts";
import { verifySignature, type SigningKey } from "../format/signature.ts";
import { hasCode } from "../util/kiln-error.ts";
import {
  partsOfClass,
  type EquivalenceClass,
  type Realization,
  type RealizationSignature,
} from "./database/realizations.ts";

/** The realisation with a signature by each of `keys`; without one when JSON cannot hold it, so that it cannot be signed. */
export function signRealization(
  realization: Realization,
  keys: readonly SigningKey[],
): Realization {
  if (keys.length === 0) return realization;
  const output = classOf(realization.equivalence);
  const signed = documentOf(realization);
  let signatures: RealizationSignature[];
  try {
    signatures = keys.map((key) => key.sign(output, signed));
  } catch (error) {
    if (hasCode(error, "realization.invalid")) return realization;
    throw error;
  }
  return { ...realization, signatures: [...realization.signatures, ...signatures] };
}

/** Whether `signature` is a valid one of this realisation. Every signature from outside, the database included, is asked about. */
export function isValidSignature(
  realization: Realization,
  signature: RealizationSignature,
): boolean {
  return verifySignature(classOf(realization.equivalence), documentOf(realization), signature);
}

/** The realisation with its valid signatures only, and how many others it had. */
export function withValidSignatures(realization: Realization): {
  realization: Realization;
  dropped: number;
} {
  const signatures = realization.signatures.filter((signature) =>
    isValidSignature(realization, signature),
  );
  const dropped = realization.signatures.length - signatures.length;
  return { realization: { ...realization, signatures }, dropped };
}

function classOf(equivalence: EquivalenceClass): document.EquivalenceClass {
  const { derivationHash, output } = partsOfClass(equivalence);
  return { derivationHash, outputName: output };
}

function documentOf({ path, references, signatures }: Realization): document.Realization {
  return {
    outputPath: path,
    referenceClasses: references.map((reference) => ({
      path: reference.path,
      realization: reference.producer && classOf(reference.producer),
    })),
    signatures,
  };
}
