/** From a {@link Derivation} to its text, and to the store object that holds the text. */
import type { Buffer } from "node:buffer";
import { sortedSet, stringToBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { ContentAddress, ContentAddressMethod } from "../content-address.ts";
import { hashBytes } from "../hash.ts";
import { storePathOf } from "../path-digest.ts";
import { directoryOf, type StorePath } from "../store-path.ts";
import { quoteString } from "./aterm.ts";
import {
  isOutputName,
  outputPathOf,
  sortedMap,
  type Derivation,
  type DerivationOutput,
} from "./derivation.ts";

/** The store object of a derivation: a file that is not executable. */
export interface DerivationObject {
  readonly path: StorePath;
  /** The file's contents. */
  readonly contents: Buffer;
  /** The `text` address of the contents. */
  readonly ca: ContentAddress;
  /** The input sources and input derivations, sorted. */
  readonly references: readonly StorePath[];
}

/**
 * The canonical text of `derivation`: everything sorted, no white space, no newline at the end.
 *
 * @throws KilnError `drv.invalid` without a name, for an input of another directory, or for a bad output name.
 */
export function printDerivation(derivation: Derivation): Buffer {
  return stringToBytes(derivationText(derivation));
}

/** {@link printDerivation} as a byte string. */
export function derivationText(derivation: Derivation): string {
  const { name, directory, inputSources, inputDerivations } = derivation;
  if (name === "") throw new KilnError("drv.invalid", "a derivation must have a name");
  for (const path of [...inputSources, ...inputDerivations.keys()]) {
    if (directoryOf(path) !== directory) {
      throw new KilnError("drv.invalid", `input ${path} of ${name} is not in ${directory}`);
    }
  }
  const outputs = [...sortedMap(derivation.outputs)].map((entry) => printOutput(derivation, entry));
  const inputs = [...sortedMap(inputDerivations)].map(
    ([path, outputNames]) => `(${quoteString(path)},${printList(sortedSet(outputNames))})`,
  );
  const env = [...sortedMap(derivation.env)].map(
    ([key, value]) => `(${quoteString(key)},${quoteString(value)})`,
  );
  return (
    `Derive([${outputs.join(",")}],[${inputs.join(",")}],${printList(sortedSet(inputSources))},` +
    `${quoteString(derivation.system)},${quoteString(derivation.builder)},` +
    `${printList(derivation.args)},[${env.join(",")}])`
  );
}

/**
 * The store object that holds the derivation.
 *
 * @throws KilnError as {@link printDerivation}; `path.invalid` when the name makes no object name.
 */
export function derivationObject(derivation: Derivation): DerivationObject {
  const contents = printDerivation(derivation);
  const ca: ContentAddress = { method: "text", hash: hashBytes("sha256", contents) };
  const references = derivationReferences(derivation);
  const path = storePathOf(derivation.directory, `${derivation.name}.drv`, ca, {
    self: false,
    others: references,
  });
  return { path, contents, ca, references };
}

/** The store path of the derivation's object; throws as {@link derivationObject}. */
export function derivationPath(derivation: Derivation): StorePath {
  return derivationObject(derivation).path;
}

/** What the derivation's object refers to: its input sources and input derivations, sorted. */
export function derivationReferences(derivation: Derivation): StorePath[] {
  return sortedSet([...derivation.inputSources, ...derivation.inputDerivations.keys()]);
}

/** The method and hash type of an output as its third field has them: `r:sha256`. */
export function printMethod(method: ContentAddressMethod, hashType: string): string {
  return { recursive: "r:", text: "text:", flat: "" }[method] + hashType;
}

function printOutput(
  derivation: Derivation,
  [name, output]: readonly [string, DerivationOutput],
): string {
  if (!isOutputName(name)) {
    throw new KilnError("drv.invalid", `${JSON.stringify(name)} cannot name an output`);
  }
  const [path, method, hash] =
    output.type === "fixed"
      ? [
          outputPathOf(derivation, name) ?? "",
          printMethod(output.ca.method, output.ca.hash.type),
          output.ca.hash.rawBase16(),
        ]
      : ["", printMethod(output.method, output.hashType), ""];
  return `(${quoteString(name)},${quoteString(path)},"${method}","${hash}")`;
}

function printList(texts: readonly string[]): string {
  return `[${texts.map(quoteString).join(",")}]`;
}
