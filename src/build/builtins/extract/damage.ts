/** The faults of compressed data. */
import { KilnError } from "../../../util/kiln-error.ts";
import { codeOf } from "../../../util/code-of.ts";
import { builderFault, reasonOf } from "../fault.ts";

/** What a decompressor throws, in words; faults of other kinds stay what they are. */
export function explained(format: string, error: unknown): unknown {
  if (error instanceof KilnError) return error;
  const code = codeOf(error) ?? "";
  if (code === "Z_BUF_ERROR") return truncatedData(format, error);
  // The last is that of decompression that was allowed a certain number of bytes.
  const isDamage = /^Z_|^ZSTD_|^ERR_BUFFER_TOO_LARGE$/.test(code);
  return isDamage ? damagedData(format, reasonOf(error), error) : error;
}

export function truncatedData(format: string, cause?: unknown): KilnError {
  return builderFault("extract.truncated", `the ${format} data are cut short`, cause);
}

export function damagedData(format: string, reason: string, cause?: unknown): KilnError {
  return builderFault("extract.damaged", `the ${format} data are damaged: ${reason}`, cause);
}
