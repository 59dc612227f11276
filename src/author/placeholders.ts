/**
 * How a dependency travels in a string.
 *
 * Whatever an evaluation can depend on prints as `/` and 52 base 32 characters. Printing it notes in one table what the
 * characters stand for; when a string enters a derivation or a text, every placeholder in it that the table knows is found, noted
 * as an input, and replaced. A placeholder names its derivation, where a path could not: two fixed derivations may have one output path.
 *
 * An output prints as the placeholder that the backend replaces when the input is realized (or by its path, if that is fixed), so
 * it may stay in the string. An object prints as a placeholder of Kiln's own, `nix32(sha256("kiln-source:" + path))`, which never
 * leaves the evaluation.
 */
import { inputPlaceholder } from "../format/derivation/placeholders.ts";
import { encodeBase32 } from "../format/base32.ts";
import { sha256 } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import type { StoreItem } from "./item.ts";

/** Finds everything that may be a placeholder, also those that {@link replacePlaceholders} does not know. */
export const placeholderPattern: RegExp = /\/[0-9a-df-np-sv-z]{52}/g;

interface Meaning {
  readonly item: StoreItem;
  /** The output meant; the object itself when absent. */
  readonly output?: string;
  readonly replacement: string;
}

const meanings = new Map<string, Meaning>();

/** What strings were found to depend on, by store path. */
export interface Inputs {
  readonly objects: Map<StorePath, StoreItem>;
  readonly outputs: Map<StorePath, { readonly item: StoreItem; readonly names: Set<string> }>;
}

export function noInputs(): Inputs {
  return { objects: new Map(), outputs: new Map() };
}

/** The placeholder of a store object. */
export function printObject(item: StoreItem): string {
  const text = `/${encodeBase32(sha256(`kiln-source:${item.path}`).bytes)}`;
  if (!meanings.has(text)) meanings.set(text, { item, replacement: item.path });
  return text;
}

/** The placeholder of an output; `fixedPath` is where the output is known to be. */
export function printOutput(
  item: StoreItem,
  output: string,
  fixedPath: StorePath | undefined,
): string {
  const text = inputPlaceholder(item.path, output);
  if (!meanings.has(text)) meanings.set(text, { item, output, replacement: fixedPath ?? text });
  return text;
}

/** `text` with its known placeholders replaced, and what they stand for added to `inputs`. */
export function replacePlaceholders(text: string, inputs: Inputs): string {
  if (text.length < 53) return text;
  return text.replaceAll(placeholderPattern, (candidate) => {
    const meaning = meanings.get(candidate);
    if (meaning === undefined) return candidate;
    const { item, output } = meaning;
    if (output === undefined) {
      inputs.objects.set(item.path, item);
    } else {
      const known = inputs.outputs.get(item.path);
      if (known) known.names.add(output);
      else inputs.outputs.set(item.path, { item, names: new Set([output]) });
    }
    return meaning.replacement;
  });
}
