/** What a derivation is, as a value; its text is in parse.ts and print.ts. */
import { compareBytes, isSorted } from "../../util/byte-string.ts";
import type { ContentAddress, ContentAddressMethod } from "../content-address.ts";
import type { HashType } from "../hash.ts";
import { noReferences, outputObjectName, storePathOf } from "../path-digest.ts";
import type { StoreDirectory, StorePath } from "../store-path.ts";

/**
 * A builder, its arguments, environment and inputs. All texts are byte strings (util/byte-string.ts). Maps and lists are sorted by
 * bytes, except `args`; {@link sortedMap} and {@link sortedSet} make them so.
 */
export interface Derivation {
  /** The store directory of the derivation and of everything it names. */
  readonly directory: StoreDirectory;
  /** Never empty; the store object's name without `.drv`. */
  readonly name: string;
  /** The outputs used of each derivation this one depends on. */
  readonly inputDerivations: ReadonlyMap<StorePath, readonly string[]>;
  readonly inputSources: readonly StorePath[];
  /** What the builder runs on, like `x86_64-linux`; `builtin` for builders that are part of the store. */
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
}

/** An output whose content is known beforehand, or one that is addressed by whatever the builder makes. */
export type DerivationOutput = FixedOutput | FloatingOutput;

export interface FixedOutput {
  readonly type: "fixed";
  readonly ca: ContentAddress;
}

export interface FloatingOutput {
  readonly type: "floating";
  readonly method: ContentAddressMethod;
  readonly hashType: HashType;
}

/** The output every derivation had in mind unless it says otherwise; the only one that can be fixed. */
export const defaultOutput = "out";

/** Whether `name` can name an output: not empty, and free of the characters that separate it from a path. */
export function isOutputName(name: string): boolean {
  return name !== "" && !/[\^!]/.test(name);
}

/**
 * The store path of a fixed output; `undefined` for a floating or unknown one.
 *
 * @throws KilnError `ca.references` or `path.invalid` when the output can have no path.
 */
export function outputPathOf(
  derivation: Pick<Derivation, "directory" | "name" | "outputs">,
  outputName: string,
): StorePath | undefined {
  const output = derivation.outputs.get(outputName);
  if (output?.type !== "fixed") return undefined;
  const name = outputObjectName(derivation.name, outputName);
  return storePathOf(derivation.directory, name, output.ca, noReferences);
}

/** A map of these entries in byte order of their keys; of two with one key the later counts. */
export function sortedMap<K extends string, V>(entries: Iterable<readonly [K, V]>): Map<K, V> {
  const map = new Map(entries);
  return isSorted(map.keys()) ? map : new Map([...map].toSorted(byKey));
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return compareBytes(a[0], b[0]);
}
