/** Which derivations can be built; many more can be written. */
import { KilnError } from "../../util/kiln-error.ts";
import { defaultOutput, type Derivation } from "./derivation.ts";

/**
 * Checks what the text of a derivation does not have to keep to but a build needs: at least one output, and either only
 * floating ones of `r:sha256` or a single fixed one called `out`. That the outputs it uses of its inputs exist is checked
 * where those are at hand.
 *
 * @throws KilnError `drv.notRealizable`
 */
export function checkRealizable(derivation: Derivation): void {
  const { outputs } = derivation;
  if (outputs.size === 0) throw refuse(derivation, "it has no outputs");
  for (const [name, output] of outputs) {
    if (output.type === "floating") {
      if (output.method !== "recursive" || output.hashType !== "sha256") {
        throw refuse(derivation, `floating output ${name} is not addressed by r:sha256`);
      }
      continue;
    }
    if (name !== defaultOutput) {
      throw refuse(derivation, `output ${name} is fixed, which only ${defaultOutput} can be`);
    }
    if (outputs.size > 1) throw refuse(derivation, "beside a fixed output there can be no other");
  }
}

function refuse(derivation: Derivation, reason: string): KilnError {
  return new KilnError(
    "drv.notRealizable",
    `derivation ${derivation.name} cannot be realized: ${reason}`,
  );
}
