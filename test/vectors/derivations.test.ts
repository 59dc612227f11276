import assert from "node:assert/strict";
import {
  parseContentAddress,
  printContentAddress,
  type ContentAddressMethod,
} from "../../src/format/content-address.ts";
import {
  outputPathOf,
  sortedMap,
  type Derivation,
  type DerivationOutput,
} from "../../src/format/derivation/derivation.ts";
import { derivationHash } from "../../src/format/derivation/hash.ts";
import {
  parseOutputReference,
  printOutputReference,
} from "../../src/format/derivation/output-reference.ts";
import { parseDerivation } from "../../src/format/derivation/parse.ts";
import { inputPlaceholder, ownPlaceholder } from "../../src/format/derivation/placeholders.ts";
import { derivationObject, type DerivationObject } from "../../src/format/derivation/print.ts";
import { checkRealizable } from "../../src/format/derivation/validate.ts";
import { parseHashType, sha256 } from "../../src/format/hash.ts";
import { temporaryOutputPath } from "../../src/format/path-digest.ts";
import { parseStoreDirectory, parseStorePath } from "../../src/format/store-path.ts";
import { bytesToString, sortedSet, stringToBytes } from "../../src/util/byte-string.ts";
import { hasCode } from "../../src/util/kiln-error.ts";
import { vectorTests } from "./load.ts";

interface OutputVector {
  type: string;
  method: ContentAddressMethod;
  hashType: string;
  base16?: string;
  ca?: string;
}

interface DerivationVector {
  dir: string;
  name: string;
  system: string;
  builder: string;
  args: readonly string[];
  env: [string, string][];
  inputSources: readonly string[];
  inputDerivations: [string, readonly string[]][];
  outputs: [string, OutputVector][];
}

interface AtermInput {
  dir: string;
  name: string;
  aterm: string;
}

interface OutputInput {
  drvPath: string;
  outputName: string;
}

vectorTests(
  "derivations",
  {
    marshal: (input: DerivationVector) => {
      const derivation = fromVector(input);
      const { path: drvPath, contents, ca, references } = derivationObject(derivation);
      const nar = narOfFile(contents);
      return {
        aterm: bytesToString(contents),
        derivation: toVector(derivation),
        drvPath,
        ca: printContentAddress(ca),
        references,
        narSha256: sha256(nar).rawBase16(),
        narSize: nar.length,
        outputs: Array.from(derivation.outputs.keys(), (name) => ({
          name,
          fixedPath: outputPathOf(derivation, name) ?? null,
          placeholder: ownPlaceholder(name),
          tempPath: temporaryOutputPath(drvPath, name),
          unknownPlaceholder: inputPlaceholder(drvPath, name),
        })),
        inputs: [...derivation.inputDerivations].flatMap(([input, outputNames]) =>
          outputNames.map((outputName) => ({
            drvPath: input,
            outputName,
            placeholder: inputPlaceholder(input, outputName),
          })),
        ),
      };
    },
    parse: (input: AtermInput) => {
      const derivation = parse(input);
      const answer = { derivation: toVector(derivation), ...realizability(derivation) };
      const object = objectOf(derivation);
      // Not every derivation that can be read can be an object.
      if (object === undefined) return answer;
      const aterm = bytesToString(object.contents);
      assert.deepEqual(parse({ ...input, aterm }), derivation);
      const canonical = aterm === input.aterm;
      return {
        ...answer,
        drvPath: object.path,
        canonical,
        aterm: canonical ? undefined : aterm,
      };
    },
    hashPlaceholder: ({ outputName }: { outputName: string }) => ({
      text: ownPlaceholder(outputName),
    }),
    unknownCAOutputPlaceholder: ({ drvPath, outputName }: OutputInput) => ({
      text: inputPlaceholder(parseStorePath(drvPath), outputName),
    }),
    tempOutputPath: ({ drvPath, outputName }: OutputInput) => ({
      path: temporaryOutputPath(parseStorePath(drvPath), outputName),
    }),
    parseOutputReference: ({ text }: { text: string }) => {
      const reference = parseOutputReference(text);
      return { ...reference, text: printOutputReference(reference) };
    },
    derivationHash: (input: AtermInput & { realizations: (OutputInput & { path: string })[] }) => {
      const hash = derivationHash(parse(input), (drvPath, outputName) => {
        const found = input.realizations.find(
          (realization) => realization.drvPath === drvPath && realization.outputName === outputName,
        );
        return found && parseStorePath(found.path);
      });
      return { sri: hash.sri(), base16: hash.rawBase16() };
    },
  },
  { wordings: ["validateError"] },
);

/** The store object of a derivation; `undefined` where its name or an output makes no store path. */
function objectOf(derivation: Derivation): DerivationObject | undefined {
  try {
    return derivationObject(derivation);
  } catch (error) {
    assert.ok(hasCode(error, "path.invalid") || hasCode(error, "ca.references"));
    return undefined;
  }
}

function parse({ dir, name, aterm }: AtermInput): Derivation {
  return parseDerivation(parseStoreDirectory(dir), name, stringToBytes(aterm));
}

function fromVector(input: DerivationVector): Derivation {
  return {
    directory: parseStoreDirectory(input.dir),
    name: input.name,
    system: input.system,
    builder: input.builder,
    args: input.args,
    env: sortedMap(input.env),
    inputSources: sortedSet(input.inputSources.map(parseStorePath)),
    inputDerivations: sortedMap(
      input.inputDerivations.map(
        ([path, names]) => [parseStorePath(path), sortedSet(names)] as const,
      ),
    ),
    outputs: sortedMap(
      input.outputs.map(([name, output]) => [name, outputFromVector(output)] as const),
    ),
  };
}

function outputFromVector(output: OutputVector): DerivationOutput {
  return output.ca === undefined
    ? { type: "floating", method: output.method, hashType: parseHashType(output.hashType) }
    : { type: "fixed", ca: parseContentAddress(output.ca) };
}

function toVector(derivation: Derivation): DerivationVector {
  return {
    dir: derivation.directory,
    name: derivation.name,
    system: derivation.system,
    builder: derivation.builder,
    args: derivation.args,
    env: [...derivation.env],
    inputSources: derivation.inputSources,
    inputDerivations: [...derivation.inputDerivations],
    outputs: Array.from(derivation.outputs, ([name, output]) => [name, outputToVector(output)]),
  };
}

function outputToVector(output: DerivationOutput): OutputVector {
  if (output.type === "floating") {
    // The vectors tell floating outputs apart by recursive or not only.
    const method = output.method === "recursive" ? "recursive" : "flat";
    return { type: "floating", method, hashType: output.hashType };
  }
  return {
    type: "fixed",
    method: output.ca.method,
    hashType: output.ca.hash.type,
    base16: output.ca.hash.rawBase16(),
    ca: printContentAddress(output.ca),
  };
}

function realizability(derivation: Derivation): { realizable: boolean; validateError?: string } {
  try {
    checkRealizable(derivation);
    return { realizable: true };
  } catch (error) {
    assert.ok(hasCode(error, "drv.notRealizable"));
    return { realizable: false, validateError: error.message };
  }
}

/** The NAR of a file that is not executable. */
function narOfFile(contents: Buffer): Buffer {
  const words = ["nix-archive-1", "(", "type", "regular", "contents", contents, ")"];
  return Buffer.concat(
    words.map((word) => {
      const bytes = Buffer.from(word);
      const string = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8);
      string.writeBigUInt64LE(BigInt(bytes.length));
      bytes.copy(string, 8);
      return string;
    }),
  );
}
