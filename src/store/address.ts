/** Whether a tree is what it is said to be: a content address is a proof, and this is where it is checked. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { dumpNar } from "../files/dump.ts";
import { inSlices } from "../files/slices.ts";
import { isSourceAddress, sameAddress, type ContentAddress } from "../format/content-address.ts";
import { Hash, type HashType } from "../format/hash.ts";
import { splitReferences, storePathOf, type References } from "../format/path-digest.ts";
import {
  SelfReferenceAnalyzer,
  type MachoBufferCreator,
} from "../format/references/self-references.ts";
import { digestOf, directoryOf, nameOf, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";

/** What one look at a tree has found. */
export interface Survey {
  readonly narHash: Hash;
  readonly narSize: number;
  /** The hash in the source address, if the tree does not refer to itself. */
  readonly sourceHash: Hash;
  /** Another hash of the NAR, if one was made. */
  readonly otherHash?: Hash | undefined;
  /** Set when the tree is a single regular file; `hash`, of its bytes, if one was made. */
  readonly file: { readonly executable: boolean; readonly hash?: Hash | undefined } | undefined;
}

/** What is said about a tree. */
export interface Claim {
  readonly storePath: StorePath;
  readonly references: readonly StorePath[];
  /** Undefined stands for the source address. */
  readonly ca: ContentAddress | undefined;
}

/**
 * The content address of a tree. What `survey` does not tell (hashes of other kinds, self references) is read from disk: `onDisk`
 * says where the tree is.
 *
 * @throws KilnError `ca.references`, `ca.fileType`, `ca.mismatch` or `path.mismatch` when the claim is not true
 */
export function checkClaim(
  claim: Claim,
  survey: Survey,
  onDisk: () => string,
  buffers?: MachoBufferCreator,
): ContentAddress | Promise<ContentAddress> {
  const { storePath, ca } = claim;
  const references = splitReferences(storePath, claim.references);
  const agree = (found: ContentAddress): ContentAddress => agreed(claim, found, references);
  // Cheap things first: what cannot be right needs no reading.
  if (ca !== undefined) checkPath(storePath, ca, references);
  if (ca?.method === "text" || ca?.method === "flat") {
    if (survey.file === undefined || survey.file.executable) {
      throw new KilnError(
        "ca.fileType",
        `${storePath} has a ${ca.method} address and is not a single file without execute permission`,
        { path: storePath },
      );
    }
    const { method } = ca;
    const { hash: known } = survey.file;
    if (known?.type === ca.hash.type) return agree({ method, hash: known });
    return hashFile(ca.hash.type, onDisk()).then((hash) => agree({ method, hash }));
  }
  const method = "recursive";
  if (ca !== undefined && !isSourceAddress(ca)) {
    const known = survey.otherHash;
    if (known?.type === ca.hash.type) return agree({ method, hash: known });
    return hashNar(ca.hash.type, onDisk()).then((hash) => agree({ method, hash }));
  }
  if (!references.self) return agree({ method, hash: survey.sourceHash });
  return selfReferentialAddress(storePath, onDisk(), buffers).then(agree);
}

function checkPath(storePath: StorePath, ca: ContentAddress, references: References): void {
  const right = storePathOf(directoryOf(storePath), nameOf(storePath), ca, references);
  if (right === storePath) return;
  throw new KilnError(
    "path.mismatch",
    `${storePath} is not the path of its content and references, which is ${right}`,
    { path: storePath },
  );
}

function agreed(
  { storePath, ca }: Claim,
  found: ContentAddress,
  references: References,
): ContentAddress {
  if (ca === undefined) checkPath(storePath, found, references);
  if (ca === undefined || sameAddress(ca, found)) return found;
  throw new KilnError(
    "ca.mismatch",
    `the content of ${storePath} does not match its address: expected ${ca.hash.sri()}, found ${found.hash.sri()}`,
    { path: storePath },
  );
}

async function selfReferentialAddress(
  path: StorePath,
  tree: string,
  buffers: MachoBufferCreator | undefined,
): Promise<ContentAddress> {
  const analyzer = new SelfReferenceAnalyzer(digestOf(path), buffers);
  await inSlices(dumpNar(tree), (chunk) => analyzer.write(chunk));
  // As with all references, what is declared counts: the content need not mention it, and the path tells the two apart.
  return analyzer.finish().ca;
}

/** The hash of a file's bytes. */
export async function hashFile(type: HashType, path: string): Promise<Hash> {
  const hash = createHash(type);
  const buffer = Buffer.allocUnsafe(256 * 1024);
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  for (;;) {
    const { bytesRead } = await file.read(buffer);
    if (bytesRead === 0) return Hash.of(type, hash.digest());
    hash.update(buffer.subarray(0, bytesRead));
  }
}

/** The hash of a tree's NAR. */
export async function hashNar(type: HashType, tree: string): Promise<Hash> {
  const hash = createHash(type);
  await inSlices(dumpNar(tree), (chunk) => {
    hash.update(chunk);
  });
  return Hash.of(type, hash.digest());
}
