/** Whether what lies on disk is what is said about it, found out by a look at every byte. */
import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import { dumpNar } from "../files/dump.ts";
import { inSlices } from "../files/slices.ts";
import type { ContentAddress } from "../format/content-address.ts";
import { Hash } from "../format/hash.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { MachoBufferCreator } from "../format/references/self-references.ts";
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { checkClaim, type Survey } from "./address.ts";

/** What somebody wrote down about an object. */
export interface ObjectRecord {
  readonly storePath: StorePath;
  /** Undefined when that is not known. */
  readonly narHash: Hash | undefined;
  readonly narSize: number;
  readonly references: readonly StorePath[];
  /** Undefined stands for the source address. */
  readonly ca: ContentAddress | undefined;
}

/**
 * Reads the tree at `tree`, which must be what `record` says, and gives what is known of it then.
 *
 * @throws KilnError `store.mismatch` (another NAR hash or size), `ca.…`, `path.mismatch`, `file.…`, `nar.…`
 */
export async function verifyTree(
  record: ObjectRecord,
  tree: string,
  buffers?: MachoBufferCreator,
): Promise<ObjectInfo> {
  const { storePath, narHash, narSize, references } = record;
  const survey = await surveyTree(tree);
  const isSame = narHash === undefined || survey.narHash.equals(narHash);
  if (survey.narSize !== narSize || !isSame) {
    const said = narHash === undefined ? `${narSize} bytes` : `${narHash.base32()} and ${narSize}`;
    throw new KilnError(
      "store.mismatch",
      `${storePath} has the NAR hash ${survey.narHash.base32()} and ${survey.narSize} bytes, not ${said}`,
      { path: storePath },
    );
  }
  const ca = await checkClaim(record, survey, () => tree, buffers);
  return { storePath, narHash: survey.narHash, narSize, references, ca };
}

/**
 * One look at all bytes of a tree; `each` gets those of its NAR.
 *
 * @throws KilnError what `dumpNar` throws
 */
export async function surveyTree(
  tree: string,
  each: (chunk: Buffer) => void = () => undefined,
): Promise<Survey> {
  const hash = createHash("sha256");
  let narSize = 0;
  await inSlices(dumpNar(tree), (chunk) => {
    hash.update(chunk);
    narSize += chunk.length;
    each(chunk);
  });
  const stats = lstatSync(tree);
  return {
    narHash: Hash.of("sha256", hash.copy().digest()),
    narSize,
    sourceHash: Hash.of("sha256", hash.update("|").digest()),
    file: stats.isFile() ? { executable: (stats.mode & 0o111) !== 0 } : undefined,
  };
}
