/** Output references: one output of a derivation as a text, `drvPath!output`. */
import { KilnError } from "../../util/kiln-error.ts";
import { isDerivationPath, parseStorePath, type StorePath } from "../store-path.ts";
import { isOutputName } from "./derivation.ts";

export interface OutputReference {
  readonly drvPath: StorePath;
  readonly outputName: string;
}

/**
 * @throws KilnError `outputReference.invalid` without a `!`, for a path that is not a derivation's, or for a bad output name;
 *   `path.invalid` for what is no store path.
 */
export function parseOutputReference(text: string): OutputReference {
  const separator = text.lastIndexOf("!");
  if (separator === -1) throw invalid(text, "it has no !");
  const drvPath = parseStorePath(text.slice(0, separator));
  const outputName = text.slice(separator + 1);
  if (!isDerivationPath(drvPath)) throw invalid(text, "its path is not a derivation's");
  if (!isOutputName(outputName)) {
    throw invalid(text, `${JSON.stringify(outputName)} cannot name an output`);
  }
  return { drvPath, outputName };
}

export function printOutputReference({ drvPath, outputName }: OutputReference): string {
  return `${drvPath}!${outputName}`;
}

function invalid(text: string, reason: string): KilnError {
  return new KilnError(
    "outputReference.invalid",
    `${JSON.stringify(text)} is not an output reference: ${reason}`,
  );
}
