/** `kiln nar pack`: a file system object as a NAR. */
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { dumpNar } from "../../files/dump.ts";
import { attempt } from "../../files/file-error.ts";
import { storePathOf } from "../../format/path-digest.ts";
import { applyRewrites, type RandomAccess } from "../../format/references/rewrite.ts";
import { SelfReferenceAnalyzer } from "../../format/references/self-references.ts";
import { digestOf, directoryOf, nameOf, parseStorePath } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { say } from "../context.ts";
import { writeOutput } from "../files.ts";

export interface NarPackFlags {
  readonly output?: string;
  readonly selfReferences?: boolean;
}

export async function narPack(operands: readonly string[], flags: NarPackFlags): Promise<void> {
  const [path = "."] = operands;
  const { output, selfReferences = false } = flags;
  if (!selfReferences) {
    await writeOutput(output ?? "-", dumpNar(path));
    return;
  }
  if (output === undefined || output === "-") {
    throw new KilnError("usage.flag", "--self-references given without --output");
  }
  say(packSelfReferring(path, output));
}

/** Writes the NAR with the digest of `path` replaced by that of the path its content asks for, which is returned. */
function packSelfReferring(path: string, output: string): string {
  const before = parseStorePath(resolve(path));
  const analyzer = new SelfReferenceAnalyzer(digestOf(before));
  const unfinished = `${output}.${process.pid}.part`;
  const file = attempt("make", output, () => openSync(unfinished, "wx+"));
  try {
    for (const chunk of dumpNar(path)) {
      analyzer.write(chunk);
      attempt("write", output, () => writeWhole(file, chunk, null));
    }
    const { ca, self, rewrites } = analyzer.finish();
    const after = storePathOf(directoryOf(before), nameOf(before), ca, { self, others: [] });
    applyRewrites(accessTo(file), rewrites, digestOf(before), digestOf(after));
    renameSync(unfinished, output);
    return after;
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

function accessTo(file: number): RandomAccess {
  return {
    read: (offset, length) => {
      const bytes = Buffer.alloc(length);
      for (let at = 0; at < length;) {
        const got = readSync(file, bytes, at, length - at, offset + at);
        if (got === 0) throw new KilnError("nar.truncated", "the NAR was cut while it was written");
        at += got;
      }
      return bytes;
    },
    write: (offset, bytes) => writeWhole(file, bytes, offset),
  };
}

function writeWhole(file: number, bytes: Buffer, position: number | null): void {
  for (let at = 0; at < bytes.length;)
    at += writeSync(file, bytes, at, bytes.length - at, position === null ? null : position + at);
}
