import type { ByteReader } from "../../../util/byte-reader.ts";
import { builderFault } from "../fault.ts";
import { TarReader } from "./tar-reader.ts";
import type { ArchiveTree } from "./tree.ts";

export interface TarOptions {
  /** Whether the end must be marked: without compression around it nothing else tells a whole archive from one cut short. */
  readonly endMark: boolean;
}

/**
 * Unpacks a tar archive into `tree`. What follows its end is not read.
 *
 * @throws KilnError of kind `builder`
 */
export async function unpackTar(
  bytes: ByteReader,
  tree: ArchiveTree,
  options: TarOptions,
): Promise<void> {
  const reader = new TarReader(bytes);
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    switch (entry.type) {
      case "directory":
        tree.directory(entry.name);
        break;
      case "symlink":
        tree.symlink(entry.name, entry.target);
        break;
      case "hardLink":
        await tree.hardLink(entry.name, entry.target);
        break;
      case "file": {
        using file = tree.file(entry.name, entry.executable, entry.size);
        for (let data = await reader.data(); data !== undefined; data = await reader.data()) {
          await file.write(data);
        }
      }
    }
    await tree.breathe();
  }
  if (options.endMark && !reader.endMarked) {
    throw builderFault("extract.truncated", "the tar archive is cut short: it has no end mark");
  }
}
