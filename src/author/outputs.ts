/** The outputs that a build file gives a derivation. */
import { KilnError } from "../util/kiln-error.ts";
import type { DerivationOutput } from "../format/derivation/derivation.ts";
import { parseHash } from "../format/hash.ts";
import { maxNameLength } from "../format/store-path.ts";
import { show } from "./fault.ts";
import { checkName, wrong, type Subject } from "./strings.ts";

export interface OutputOptions {
  readonly name: string;
  readonly outputs?: readonly string[];
  readonly hash?: string;
  readonly hashMode?: "flat" | "recursive";
}

/** The names that Kiln writes into env. A user's variable has none of them, nor has an output. */
export const writtenByKiln: RegExp =
  /^(?:name|system|builder|args|attrs[0-9]*|outputs|outputHash|outputHashMode|__.*)$/s;
/** An output is a property of its derivation, so it cannot be called like another one; `then` would make it look like a promise. */
const takenNames = new Set(["drvPath", "item", "toString", "toJSON", "then", "constructor"]);

/** The outputs by name, in the order they were given. */
export function describeOutputs(
  subject: Subject,
  options: OutputOptions,
): ReadonlyMap<string, DerivationOutput> {
  const { hash, hashMode } = options;
  if (hash === undefined && hashMode !== undefined) {
    throw wrong(subject, "hashMode is given without hash");
  }
  const names: readonly string[] = options.outputs ?? ["out"];
  if (!Array.isArray(names) || names.length === 0) {
    throw wrong(subject, `outputs is ${show(names)}, not a list of names`);
  }
  if (hash !== undefined && (names.length > 1 || names[0] !== "out")) {
    throw wrong(subject, 'with hash there can be no other output than "out"');
  }
  const fixed = hash === undefined ? undefined : fixedOutput(subject, hash, hashMode);
  const outputs = new Map<string, DerivationOutput>();
  for (const name of names) {
    checkOutputName(subject, name, options.name);
    if (outputs.has(name)) throw wrong(subject, `output ${show(name)} is given twice`);
    outputs.set(name, fixed ?? { type: "floating", method: "recursive", hashType: "sha256" });
  }
  return outputs;
}

function checkOutputName(subject: Subject, name: unknown, derivationName: string): void {
  const output = { label: `${subject.label}: output ${show(name)}`, place: subject.place };
  checkName(output, name, maxNameLength);
  if (name.includes("=")) throw wrong(output, 'its name has "=", which no variable can have');
  if (writtenByKiln.test(name) || takenNames.has(name)) {
    throw wrong(output, "that name is taken", "choose another one");
  }
  const objectName = name === "out" ? derivationName : `${derivationName}-${name}`;
  if (objectName.length > maxNameLength) {
    throw wrong(
      output,
      `its object's name has ${objectName.length} characters; ${maxNameLength} are allowed`,
    );
  }
}

function fixedOutput(subject: Subject, hash: unknown, hashMode: unknown): DerivationOutput {
  if (hashMode !== undefined && hashMode !== "flat" && hashMode !== "recursive") {
    throw wrong(subject, `hashMode is ${show(hashMode)}`, '"flat" or "recursive"');
  }
  if (typeof hash !== "string") throw wrong(subject, `hash is ${show(hash)}`);
  try {
    return { type: "fixed", ca: { method: hashMode ?? "flat", hash: parseHash(hash) } };
  } catch (error) {
    const { message, hint } = KilnError.from(error);
    throw wrong(subject, `hash: ${message}`, hint);
  }
}
