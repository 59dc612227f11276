/** What kind of archive begins with certain bytes. */
import { isTarHeader } from "./tar-reader.ts";

export type ArchiveFormat = "tar" | "gzip" | "bzip2" | "xz" | "zstd" | "zip";

/** How many bytes {@link archiveFormat} wants to see; an archive may have fewer. */
export const formatHeadSize = 512;

/** The compressed ones are taken for compressed tar archives. */
export function archiveFormat(head: Buffer): ArchiveFormat | undefined {
  const hex = head.toString("hex", 0, 6);
  if (hex.startsWith("1f8b")) return "gzip";
  if (/^BZh[1-9]/.test(head.toString("latin1", 0, 4))) return "bzip2";
  if (hex === "fd377a585a00") return "xz";
  // Frames, and frames to be skipped (16 magic numbers).
  if (hex.startsWith("28b52ffd") || /^5.2a4d18/.test(hex)) return "zstd";
  // A first entry, the end of an archive without entries, the first of several parts.
  if (/^504b(0304|0506|0708)/.test(hex)) return "zip";
  return isTarHeader(head) ? "tar" : undefined;
}
