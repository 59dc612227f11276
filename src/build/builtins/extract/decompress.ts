/** Compressed files as streams of what is in them. */
import { createGunzip } from "node:zlib";
import { decompressZstd } from "../../../util/zstd.ts";
import { chunksOf, through } from "../streams.ts";
import { decompressBzip2 } from "./bzip2.ts";
import { explained } from "./damage.ts";
import type { ArchiveFormat } from "./format.ts";
import { findProgram, throughProgram } from "./program.ts";
import type { SourceFile } from "./source-file.ts";
import { decompressXz } from "./xz.ts";

/** xz archives say how much memory they need; more than this is refused. `xz -9` needs 65 MiB. */
const xzMemoryLimit = "1GiB";

const programArguments = {
  bzip2: ["-dc"],
  xz: ["-dc", "-T1", `--memlimit-decompress=${xzMemoryLimit}`],
};

export interface DecompressOptions {
  /** Where programs are looked for, like the environment variable. */
  readonly searchPath: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * What is in `source`, once the named compression is taken off. `xz` and `bzip2` are left to the programs of these names, where
 * there are any: they are many times as fast as what JavaScript has.
 *
 * @throws KilnError `extract.damaged` or `extract.truncated`, while it is read
 */
export async function* decompress(
  format: Exclude<ArchiveFormat, "zip">,
  source: SourceFile,
  options: DecompressOptions,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* decompressor(format, source, options);
  } catch (error) {
    throw explained(format, error);
  }
}

function decompressor(
  format: Exclude<ArchiveFormat, "zip">,
  source: SourceFile,
  { searchPath, signal }: DecompressOptions,
): AsyncGenerator<Buffer, void, undefined> {
  switch (format) {
    case "tar":
      return chunksOf(source);
    case "gzip":
      return through(createGunzip({ chunkSize: 128 * 1024 }), chunksOf(source));
    case "zstd":
      return decompressZstd(chunksOf(source));
    case "bzip2":
    case "xz":
      break;
  }
  const program = findProgram(format, searchPath);
  if (program !== undefined) {
    return throughProgram(program, programArguments[format], { input: source.fd, signal });
  }
  return format === "xz" ? decompressXz(chunksOf(source), signal) : decompressBzip2(source.fd);
}
