/** From a derivation's text to the {@link Derivation}. */
import { sortedSet } from "../../util/byte-string.ts";
import { Buffer } from "node:buffer";
import { KilnError } from "../../util/kiln-error.ts";
import type { ContentAddressMethod } from "../content-address.ts";
import { Hash, parseHashType, type HashType } from "../hash.ts";
import { directoryOf, parseStorePath, type StoreDirectory, type StorePath } from "../store-path.ts";
import { AtermReader } from "./aterm.ts";
import {
  isOutputName,
  outputPathOf,
  sortedMap,
  type Derivation,
  type DerivationOutput,
} from "./derivation.ts";

/**
 * Reads `aterm`, the contents of the derivation called `name` (without `.drv`) in `directory`. Names and sources need not be in
 * order; the result is.
 *
 * @throws KilnError `drv.syntax` for what is not an ATerm of the right shape, `drv.invalid` for one that says something
 *   impossible, `drv.tooLarge` beyond the limits in aterm.ts.
 */
export function parseDerivation(
  directory: StoreDirectory,
  name: string,
  aterm: Uint8Array,
): Derivation {
  if (name === "") throw new KilnError("drv.invalid", "a derivation must have a name");
  const reader = new AtermReader(aterm);
  const string = (): string => reader.string();
  reader.expect("Derive(");
  const outputs = reader.list(() => readOutput(reader));
  reader.expect(",");
  const inputDerivations = reader.list(() => readInputDerivation(reader));
  reader.expect(",");
  const inputSources = reader.list(string);
  reader.expect(",");
  const system = reader.string();
  reader.expect(",");
  const builder = reader.string();
  reader.expect(",");
  const args = reader.list(string);
  reader.expect(",");
  const env = reader.list(() => readVariable(reader));
  reader.expect(")");
  reader.end();

  try {
    const derivation: Derivation = {
      directory,
      name,
      inputDerivations: uniqueMap("input derivation", parseInputs(directory, inputDerivations)),
      inputSources: parseSources(directory, inputSources),
      system,
      builder,
      args,
      env: uniqueMap("environment variable", env),
      outputs: uniqueMap("output", outputs.map(parseOutput)),
    };
    checkOutputPaths(derivation, outputs);
    return derivation;
  } catch (cause) {
    const { code, message } = KilnError.from(cause);
    throw code === "internal"
      ? cause
      : new KilnError("drv.invalid", `derivation ${name}: ${message}`, { cause });
  }
}

/** An output as written. */
interface WrittenOutput {
  readonly name: string;
  readonly path: string;
  readonly method: string;
  readonly hash: string;
}

function readOutput(reader: AtermReader): WrittenOutput {
  reader.expect("(");
  const name = reader.string();
  reader.expect(",");
  const path = reader.string();
  reader.expect(",");
  const method = reader.string();
  reader.expect(",");
  const hash = reader.string();
  reader.expect(")");
  return { name, path, method, hash };
}

function readInputDerivation(reader: AtermReader): [string, string[]] {
  reader.expect("(");
  const path = reader.string();
  reader.expect(",");
  const outputNames = reader.list(() => reader.string());
  reader.expect(")");
  return [path, outputNames];
}

function readVariable(reader: AtermReader): [string, string] {
  reader.expect("(");
  const key = reader.string();
  reader.expect(",");
  const value = reader.string();
  reader.expect(")");
  return [key, value];
}

function parseOutput({ name, path, method, hash }: WrittenOutput): [string, DerivationOutput] {
  checkOutputName(name);
  const { method: caMethod, hashType } = parseMethod(method);
  if (hash !== "") {
    if (!/^(?:[0-9a-fA-F]{2})+$/.test(hash)) {
      throw invalid(`the hash of output ${name} is not base 16`);
    }
    const ca = { method: caMethod, hash: Hash.of(hashType, Buffer.from(hash, "hex")) };
    return [name, { type: "fixed", ca }];
  }
  if (path !== "") throw invalid(`output ${name} has a path but no hash`);
  return [name, { type: "floating", method: caMethod, hashType }];
}

function parseMethod(text: string): { method: ContentAddressMethod; hashType: HashType } {
  if (text.startsWith("r:")) return { method: "recursive", hashType: parseHashType(text.slice(2)) };
  if (text.startsWith("text:")) return { method: "text", hashType: parseHashType(text.slice(5)) };
  return { method: "flat", hashType: parseHashType(text) };
}

/** A path that is written for a fixed output must be the one its hash gives. */
function checkOutputPaths(derivation: Derivation, outputs: readonly WrittenOutput[]): void {
  for (const { name, path } of outputs) {
    if (path === "") continue;
    const computed = outputPathOf(derivation, name);
    if (parseStorePath(path) !== computed) {
      throw invalid(`output ${name} has the path ${path} but its hash gives ${computed ?? "none"}`);
    }
  }
}

function parseInputs(
  directory: StoreDirectory,
  inputs: readonly (readonly [string, readonly string[]])[],
): [StorePath, readonly string[]][] {
  return inputs.map(([path, outputNames]) => {
    outputNames.forEach(checkOutputName);
    return [parseInput(directory, path), sortedSet(outputNames)];
  });
}

function parseSources(directory: StoreDirectory, sources: readonly string[]): StorePath[] {
  const paths = sources.map((source) => parseInput(directory, source));
  const sorted = sortedSet(paths);
  if (sorted.length < paths.length) throw invalid("an input source is given twice");
  return sorted;
}

function parseInput(directory: StoreDirectory, text: string): StorePath {
  const path = parseStorePath(text);
  if (directoryOf(path) !== directory) throw invalid(`input ${path} is not in ${directory}`);
  return path;
}

function checkOutputName(name: string): void {
  if (!isOutputName(name)) throw invalid(`${JSON.stringify(name)} cannot name an output`);
}

function uniqueMap<K extends string, V>(noun: string, entries: readonly [K, V][]): Map<K, V> {
  const map = sortedMap(entries);
  if (map.size < entries.length) {
    const seen = new Set<K>();
    const again = entries.find(([key]) => seen.size === seen.add(key).size);
    throw invalid(`${noun} ${JSON.stringify(again?.[0])} is given twice`);
  }
  return map;
}

function invalid(message: string): KilnError {
  return new KilnError("drv.invalid", message);
}
