/**
 * Placeholders: texts of fixed length that stand for an output's path in a derivation, which cannot know it yet. They look like
 * paths of the root directory: a slash and 52 base 32 characters.
 */
import { KilnError } from "../../util/kiln-error.ts";
import { encodeBase32 } from "../base32.ts";
import { sha256 } from "../hash.ts";
import { outputObjectName } from "../path-digest.ts";
import { derivationNameOf, digestOf, type StorePath } from "../store-path.ts";
import { defaultOutput, sortedMap, type Derivation } from "./derivation.ts";

/** What stands for the output `outputName` in its own derivation. */
export function ownPlaceholder(outputName: string): string {
  return outputName === defaultOutput ? placeholderOfOut : computeOwn(outputName);
}

/** What stands for the output `outputName` of `drvPath` in derivations that depend on it. */
export function inputPlaceholder(drvPath: StorePath, outputName: string): string {
  const name = outputObjectName(derivationNameOf(drvPath), outputName);
  return placeholder(`nix-upstream-output:${digestOf(drvPath)}:${name}`);
}

/** `text` with every key of `replacements` replaced by its value, see {@link replacer}. */
export function replaceAll(text: string, replacements: ReadonlyMap<string, string>): string {
  return replacer(replacements)(text);
}

/**
 * A function that replaces all keys of `replacements` by their values, in one pass from left to right: what was put in is not
 * looked at again, and where several keys match the longest counts. Made once, it is fast on many texts.
 *
 * @throws RangeError for an empty key.
 */
export function replacer(replacements: ReadonlyMap<string, string>): (text: string) => string {
  const keys = [...replacements.keys()];
  if (keys.length === 0) return (text) => text;
  if (replacements.has("")) throw new RangeError("there is nothing to replace in an empty key");
  // Each place that a key can begin at is found natively, by the characters all keys begin with.
  const prefix = keys.reduce(commonPrefix);
  const lengths = [...new Set(keys.map((key) => key.length))].toSorted((a, b) => b - a);
  const next = new Set(keys.map((key) => key.charCodeAt(prefix.length)));
  const match = (text: string, at: number): string | undefined => {
    if (!replacements.has(prefix) && !next.has(text.charCodeAt(at + prefix.length)))
      return undefined;
    for (const length of lengths) {
      const key = text.slice(at, at + length);
      if (replacements.has(key)) return key;
    }
    return undefined;
  };
  return (text) => {
    let replaced = "";
    let done = 0;
    let at = text.indexOf(prefix);
    // An empty prefix is found everywhere, even at the end.
    while (at !== -1 && at < text.length) {
      const key = match(text, at);
      if (key === undefined) {
        at = text.indexOf(prefix, at + 1);
        continue;
      }
      replaced += text.slice(done, at) + (replacements.get(key) ?? "");
      done = at + key.length;
      at = text.indexOf(prefix, done);
    }
    return done === 0 ? text : replaced + text.slice(done);
  };
}

/**
 * `derivation` with all keys of `replacements` replaced in its builder, arguments, and names and values of its environment.
 *
 * @throws KilnError `drv.invalid` when two variables get the same name by it.
 */
export function expandDerivation(
  derivation: Derivation,
  replacements: ReadonlyMap<string, string>,
): Derivation {
  if (replacements.size === 0) return derivation;
  const replace = replacer(replacements);
  const env = sortedMap(
    Array.from(derivation.env, ([key, value]): [string, string] => [replace(key), replace(value)]),
  );
  if (env.size < derivation.env.size) {
    throw new KilnError(
      "drv.invalid",
      `two environment variables of derivation ${derivation.name} have the same name`,
    );
  }
  return {
    ...derivation,
    builder: replace(derivation.builder),
    args: derivation.args.map(replace),
    env,
  };
}

const placeholderOfOut = computeOwn(defaultOutput);

function computeOwn(outputName: string): string {
  return placeholder(`nix-output:${outputName}`);
}

function placeholder(text: string): string {
  return `/${encodeBase32(sha256(text).bytes)}`;
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}
