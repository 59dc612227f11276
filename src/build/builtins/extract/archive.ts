/**
 * `builtin:extract`: unpacks the archive `src`, a store object or a file in one, as `out`.
 *
 * With `stripFirstComponent` = `1` the archive must have one top-level entry, and that becomes the output; else the output is a
 * directory with all of them.
 */
import { ByteReader } from "../../../util/byte-reader.ts";
import { KilnError } from "../../../util/kiln-error.ts";
import { parsePathInDirectory } from "../../../format/store-path.ts";
import type { BuildTask } from "../../executor.ts";
import type { BuiltinContext } from "../builtin.ts";
import { builderFault } from "../fault.ts";
import { Pace } from "../pace.ts";
import { decompress } from "./decompress.ts";
import { archiveFormat, type ArchiveFormat, formatHeadSize } from "./format.ts";
import { Budget, defaultExtractLimits, type ExtractLimits } from "./limits.ts";
import { openSource, type SourceFile } from "./source-file.ts";
import { unpackTar } from "./tar.ts";
import { ArchiveTree } from "./tree.ts";
import { unpackZip } from "./zip.ts";

/** How often people are told how far it is, in milliseconds. */
const progressInterval = 250;

/** @throws KilnError of kind `builder` for what the derivation's author can mend. */
export async function extract(
  task: BuildTask,
  context: BuiltinContext,
  limits: Partial<ExtractLimits> = {},
): Promise<void> {
  const output = task.outputs.get("out");
  if (output === undefined)
    throw builderFault("extract.output", "missing out environment variable");
  const { name, open } = sourceOf(task);
  const budget = new Budget({ ...defaultExtractLimits, ...limits });
  const timer = setInterval(() => {
    task.progress("unpack", budget.bytes, undefined, "B");
  }, progressInterval);
  try {
    using source = open();
    const format = archiveFormat(source.head(formatHeadSize));
    if (format === undefined) {
      const known = ".tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst, or .zip";
      throw builderFault("extract.format", `unknown format (must be ${known})`);
    }
    using tree = new ArchiveTree(output.real, {
      strip: task.env.get("stripFirstComponent") === "1",
      budget,
      pace: new Pace(context.signal),
    });
    await unpack(format, { source, tree, budget, context });
    tree.finish();
  } catch (error) {
    throw about(name, error);
  } finally {
    clearInterval(timer);
  }
}

/** The archive that `src` names, and the way to open it. */
function sourceOf(task: BuildTask): { name: string; open: () => SourceFile } {
  const name = task.env.get("src") ?? "";
  if (name === "") throw builderFault("extract.source", "missing src environment variable");
  if (!name.startsWith("/")) {
    throw builderFault("extract.source", `source ${name} is not absolute`);
  }
  const { path, sub } = parsePathInDirectory(task.derivation.directory, name);
  if (!task.inputs.includes(path)) {
    throw builderFault("extract.source", `source ${name} is not an input of the derivation`);
  }
  return { name, open: () => openSource(task.realPathOf(path), sub) };
}

interface Unpacking {
  readonly source: SourceFile;
  readonly tree: ArchiveTree;
  readonly budget: Budget;
  readonly context: BuiltinContext;
}

async function unpack(
  format: ArchiveFormat,
  { source, tree, budget, context }: Unpacking,
): Promise<void> {
  if (format === "zip") {
    await unpackZip(source, tree);
    return;
  }
  const stream = decompress(format, source, {
    searchPath: context.environment["PATH"],
    signal: context.signal,
  });
  try {
    const bytes = new ByteReader(stream);
    const compressed = format !== "tar";
    await unpackTar(bytes, tree, { endMark: !compressed });
    if (compressed) await readToEnd(bytes, { tree, budget });
  } finally {
    await stream.return();
  }
}

/** At their end decompressors find out whether something is missing. */
async function readToEnd(
  bytes: ByteReader,
  { tree, budget }: Pick<Unpacking, "tree" | "budget">,
): Promise<void> {
  for (let rest = await bytes.chunk(); rest !== undefined; rest = await bytes.chunk()) {
    budget.spendBytes(rest.length);
    await tree.breathe();
  }
}

/** Faults of the archive begin with its name, as in zb. */
function about(name: string, error: unknown): unknown {
  if (!(error instanceof KilnError) || error.kind === "internal") return error;
  return builderFault(error.code, `extract ${name}: ${error.message}`, error);
}
