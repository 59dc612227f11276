/**
 * `kiln-store/testing`: evaluates a build file in a test. It needs no store and no daemon, and nothing is built.
 *
 *     const { derivations } = await evaluate("kiln.build.ts", { args: { tag: "1.0" } });
 *     t.assert.snapshot(derivations);
 */
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { ByteReader } from "../util/byte-reader.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { derivationToJson, type DerivationJson } from "../format/derivation/json.ts";
import { parseDerivation } from "../format/derivation/parse.ts";
import { readExport, type ExportReceiver, type ExportTrailer } from "../format/export-stream.ts";
import { NarReader, type NarSink } from "../format/nar/reader.ts";
import {
  defaultStoreDirectory,
  derivationNameOf,
  isDerivationPath,
  parseStoreDirectory,
  parseStorePath,
  type StoreDirectory,
} from "../format/store-path.ts";
import { evaluate as evaluateFile, type TargetListing, type WantedDerivation } from "./evaluate.ts";

/** How a build file is evaluated in a test. */
export interface TestOptions {
  /** What is wanted, as on the command line behind `#`; default: the default export, `""`. */
  readonly targets?: readonly string[];
  /** Values of parameters, as on the command line. */
  readonly args?: Readonly<Record<string, string | true>>;
  /** Default: `x86_64-linux`, so that snapshots are the same on every machine. */
  readonly system?: string;
  /** What `env()` gives; default: nothing. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: zb's and Kiln's own, `/opt/zb/store`. */
  readonly storeDirectory?: string;
}

/** What a build file says, to be looked at in a test. */
export interface TestedBuild {
  /** All targets of the file. */
  readonly targets: readonly TargetListing[];
  readonly wanted: readonly WantedDerivation[];
  /** All derivations that what is wanted takes, by path, as `kiln derivation show --json` shows them. */
  readonly derivations: Readonly<Record<string, DerivationJson>>;
  /** The paths of the other objects it takes: files, trees and texts. */
  readonly sources: readonly string[];
}

/**
 * What a build file describes.
 *
 * @throws EvaluationError for whatever is wrong in it
 */
export async function evaluate(
  file: string | URL,
  options: TestOptions = {},
): Promise<TestedBuild> {
  const storeDirectory =
    options.storeDirectory === undefined
      ? defaultStoreDirectory
      : parseStoreDirectory(options.storeDirectory);
  await using cache = await temporaryDirectory(tmpdir(), "kiln-testing-");
  await using evaluation = await evaluateFile({
    file: file instanceof URL ? fileURLToPath(file) : file,
    targets: options.targets ?? [""],
    args: options.args ?? {},
    system: options.system ?? "x86_64-linux",
    allowEnv: "all",
    environment: options.env ?? {},
    storeDirectory,
    cacheDirectory: cache.path,
  });
  const paths = evaluation.objects.map(({ path }) => path);
  const drvPaths = new Set(paths.filter((path) => isDerivationPath(path)));
  const collector = new DerivationCollector(storeDirectory);
  await readExport(new ByteReader(evaluation.stream(drvPaths)), collector);
  return {
    targets: evaluation.targets(),
    wanted: evaluation.wanted,
    derivations: collector.derivations,
    sources: paths.filter((path) => !drvPaths.has(path)),
  };
}

/** Keeps the derivations of an export stream. */
class DerivationCollector implements ExportReceiver {
  readonly derivations: Record<string, DerivationJson> = {};
  readonly #directory: StoreDirectory;
  #chunks: Buffer[] = [];
  #reader = this.#newReader();

  constructor(directory: StoreDirectory) {
    this.#directory = directory;
  }

  get finished(): boolean {
    return this.#reader.finished;
  }

  write(chunk: Buffer): number {
    return this.#reader.write(chunk);
  }

  async receive({ storePath }: ExportTrailer): Promise<void> {
    const path = parseStorePath(storePath);
    const name = derivationNameOf(path);
    const derivation = parseDerivation(this.#directory, name, Buffer.concat(this.#chunks));
    this.derivations[path] = derivationToJson(derivation);
    this.#chunks = [];
    this.#reader = this.#newReader();
  }

  #newReader(): NarReader {
    const sink: NarSink = {
      directory: nothing,
      endDirectory: nothing,
      file: nothing,
      data: (chunk) => this.#chunks.push(Buffer.from(chunk)),
      endFile: nothing,
      symlink: nothing,
    };
    return new NarReader(sink);
  }
}

function nothing(): void {}
