/** Derivations as JSON, the way zb's `derivation show --json` has them. */
import type { ContentAddressMethod } from "../content-address.ts";
import type { StorePath } from "../store-path.ts";
import { outputPathOf, type Derivation, type DerivationOutput } from "./derivation.ts";
import type { OutputReference } from "./output-reference.ts";
import { inputPlaceholder, ownPlaceholder } from "./placeholders.ts";
import { derivationPath } from "./print.ts";

export interface DerivationJson {
  readonly drvPath: string;
  readonly name: string;
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly inputSrcs: readonly string[];
  /** The names of the outputs used of each input derivation. */
  readonly inputDrvs: Readonly<Record<string, readonly string[]>>;
  readonly outputs: Readonly<Record<string, DerivationOutputJson>>;
  /** Which output each placeholder in the other texts stands for. */
  readonly placeholders: Readonly<Record<string, OutputReference>>;
}

export interface DerivationOutputJson {
  /** Fixed outputs only, as `hash`. */
  readonly path?: string;
  /** The hash type, behind `r:` for recursive hashing; `text` hashing is not told from flat hashing. */
  readonly hashAlgo: string;
  /** Base 16. */
  readonly hash?: string;
}

/**
 * The JSON view. Bytes that are not UTF-8 become U+FFFD.
 *
 * @throws KilnError as derivationObject() for a derivation that cannot be written.
 */
export function derivationToJson(
  derivation: Derivation,
  drvPath: StorePath = derivationPath(derivation),
): DerivationJson {
  const { name, system, builder, args, env, inputSources, inputDerivations, outputs } = derivation;
  return {
    drvPath: drvPath.toWellFormed(),
    name: name.toWellFormed(),
    system: system.toWellFormed(),
    builder: builder.toWellFormed(),
    args: args.map(wellFormed),
    env: record(env, wellFormed),
    inputSrcs: inputSources.map(wellFormed),
    inputDrvs: record(inputDerivations, (names) => names.map(wellFormed)),
    outputs: record(outputs, (output, outputName) => toJson(derivation, outputName, output)),
    placeholders: record(placeholdersOf(derivation, drvPath), (reference) => reference),
  };
}

function toJson(
  derivation: Derivation,
  outputName: string,
  output: DerivationOutput,
): DerivationOutputJson {
  if (output.type === "floating") return { hashAlgo: hashAlgo(output.method, output.hashType) };
  const path = outputPathOf(derivation, outputName);
  return {
    ...(path === undefined ? {} : { path: path.toWellFormed() }),
    hashAlgo: hashAlgo(output.ca.method, output.ca.hash.type),
    hash: output.ca.hash.rawBase16(),
  };
}

function hashAlgo(method: ContentAddressMethod, hashType: string): string {
  return method === "recursive" ? `r:${hashType}` : hashType;
}

function placeholdersOf(
  derivation: Derivation,
  drvPath: StorePath,
): ReadonlyMap<string, OutputReference> {
  const placeholders = new Map<string, OutputReference>();
  for (const outputName of derivation.outputs.keys()) {
    placeholders.set(ownPlaceholder(outputName), { drvPath, outputName });
  }
  for (const [input, outputNames] of derivation.inputDerivations) {
    for (const outputName of outputNames) {
      placeholders.set(inputPlaceholder(input, outputName), { drvPath: input, outputName });
    }
  }
  return new Map([...placeholders].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function record<V, T>(
  map: ReadonlyMap<string, V>,
  value: (value: V, key: string) => T,
): Record<string, T> {
  return Object.fromEntries(
    Array.from(map, ([key, member]) => [key.toWellFormed(), value(member, key)]),
  );
}

function wellFormed(text: string): string {
  return text.toWellFormed();
}
