/** `kiln derivation show`: derivations as they are written, or as JSON. No store is needed. */
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Evaluation, WantedDerivation } from "../../author/evaluate.ts";
import { derivationToJson } from "../../format/derivation/json.ts";
import { readExport } from "../../format/export-stream.ts";
import { NarReader } from "../../format/nar/reader.ts";
import {
  derivationNameOf,
  directoryOf,
  parseStorePath,
  type StoreDirectory,
  type StorePath,
} from "../../format/store-path.ts";
import { ByteReader } from "../../util/byte-reader.ts";
import { locate } from "../connection.ts";
import type { CommandContext } from "../context.ts";
import { parseNamed } from "../derivation-file.ts";
import { type GlobalFlags, type Settings, settingsFrom } from "../settings.ts";
import { type EvaluationFlags, findWanted, readOperands } from "../wanted.ts";

export interface DerivationShowFlags extends EvaluationFlags {
  readonly json?: boolean;
}

/** A derivation's file. */
interface Text {
  readonly file: string;
  readonly name: string;
  readonly drvPath: StorePath | undefined;
  readonly bytes: Buffer;
}

export async function derivationShow(
  operands: readonly string[],
  flags: DerivationShowFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const { settings, daemon } = await locate(settingsFrom(flags, context.env), context);
  await daemon?.[Symbol.asyncDispose]();
  const texts: Text[] = [];
  for (const operand of readOperands(operands, flags)) {
    if (operand.type === "derivation") {
      texts.push(textOfFile(operand.path, settings));
      continue;
    }
    await using wanted = await findWanted([operand.text], flags, settings, context);
    for (const evaluation of wanted.evaluations)
      texts.push(...(await textsOf(evaluation, wanted.derivations)));
  }
  const shown = texts.map((text) =>
    flags.json === true ? jsonOf(settings.directory, text) : text.bytes,
  );
  // As zb: a single text has no line end of its own, but for people.
  const alone = !process.stdout.isTTY && shown.length === 1 && flags.json !== true;
  for (const bytes of shown) {
    process.stdout.write(bytes);
    if (!alone) process.stdout.write("\n");
  }
}

function textOfFile(file: string, { directory, realDirectory }: Settings): Text {
  const path = resolve(file);
  const isMapped = path.startsWith(`${directory}/`);
  const drvPath = asStorePath(path);
  const name = drvPath === undefined ? basename(path, ".drv") : derivationNameOf(drvPath);
  const real = isMapped ? realDirectory + path.slice(directory.length) : path;
  return { file, name, drvPath, bytes: readFileSync(real) };
}

function asStorePath(path: string): StorePath | undefined {
  try {
    return parseStorePath(path);
  } catch {
    return undefined;
  }
}

/** The texts of derivations that were evaluated and are in no store. */
async function textsOf(
  evaluation: Evaluation,
  derivations: readonly WantedDerivation[],
): Promise<Text[]> {
  const paths = [...new Set(derivations.map(({ drvPath }) => drvPath))];
  const contents = await contentsOf(evaluation.stream(new Set(paths)));
  return paths.map((path) => ({
    file: path,
    name: derivationNameOf(path),
    drvPath: path,
    bytes: contents.get(path) ?? Buffer.alloc(0),
  }));
}

/** The plain files of an export stream, by their store path. */
async function contentsOf(stream: AsyncIterable<Buffer>): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  let chunks: Buffer[] = [];
  const begin = (): NarReader =>
    new NarReader({
      file: () => {},
      data: (chunk) => chunks.push(Buffer.from(chunk)),
      endFile: () => {},
      directory: () => {},
      endDirectory: () => {},
      symlink: () => {},
    });
  let nar = begin();
  await readExport(new ByteReader(stream), {
    write: (chunk) => nar.write(chunk),
    get finished() {
      return nar.finished;
    },
    receive: async ({ storePath }) => {
      contents.set(storePath, Buffer.concat(chunks));
      chunks = [];
      nar = begin();
    },
  });
  return contents;
}

function jsonOf(directory: StoreDirectory, text: Text): string {
  const own = text.drvPath === undefined ? directory : directoryOf(text.drvPath);
  const derivation = parseNamed(own, text.name, text.file, text.bytes);
  const json = derivationToJson(derivation, text.drvPath);
  // As zb's encoder: null for an empty list, and escapes for what could end a script element.
  const written = JSON.stringify({
    ...json,
    args: nullIfEmpty(json.args),
    inputSrcs: nullIfEmpty(json.inputSrcs),
  });
  return written.replaceAll(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function nullIfEmpty(list: readonly string[]): readonly string[] | null {
  return list.length === 0 ? null : list;
}
