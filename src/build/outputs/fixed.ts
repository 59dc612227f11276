/** Outputs whose content is known before they are built: whether they are what was declared. */
import { createHash, type Hash as Hasher } from "node:crypto";
import { lstatSync } from "node:fs";
import { type ContentAddress, isSourceAddress } from "../../format/content-address.ts";
import { Hash, type HashType } from "../../format/hash.ts";
import { encodeStrings, wordSize } from "../../format/nar/tokens.ts";
import type { MachoBufferCreator } from "../../format/references/self-references.ts";
import { checkClaim } from "../../store/address.ts";
import type { Publication } from "../../store/store.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { lookAt, type LookOptions } from "./look.ts";
import type { MadeOutput } from "./register.ts";
import { longestPathIn, refuse, thaw } from "./scan.ts";

/** Where the bytes of a file that is not executable begin in its NAR: after these words and its size. */
const contentsAt =
  encodeStrings("nix-archive-1", "(", "type", "regular", "contents").length + wordSize;

/**
 * Verifies a fixed output, which is read once for all that is to be known of it.
 *
 * @throws KilnError of kind `builder`: `ca.mismatch`, `ca.fileType`, `output.fileType`, `file.pathTooLong`, `nar.…`
 */
export async function verifyFixedOutput(
  { logical, tree }: MadeOutput,
  ca: ContentAddress,
  {
    store,
    buffers,
    signal,
  }: Omit<LookOptions, "longestPath"> & { readonly buffers?: MachoBufferCreator | undefined },
): Promise<Publication> {
  return await refuse(async () => {
    const stats = lstatSync(tree);
    const isFile = stats.isFile();
    if (ca.method !== "recursive" && !isFile) {
      throw new KilnError("ca.fileType", `${logical} is not a regular file`, { path: logical });
    }
    await thaw(tree, signal);
    const own = new DeclaredHash(ca, stats.size);
    const longestPath = longestPathIn(logical);
    const look = await lookAt(tree, { store, longestPath, signal }, (chunk) => own.take(chunk));
    if (look === undefined) throw new Error("a look at a fixed output never ends early");
    const { narHash, narSize, frozenEntries } = look;
    const hash = own.finish();
    const executable = (stats.mode & 0o111) !== 0;
    const file = isFile ? { executable, hash: own.isOfContents ? hash : undefined } : undefined;
    const survey = { ...look, otherHash: own.isOfContents ? undefined : hash, file };
    await checkClaim({ storePath: logical, references: [], ca }, survey, () => tree, buffers);
    const info = { storePath: logical, narHash, narSize, references: [], ca };
    return { tree, info, frozenEntries };
  });
}

/**
 * The hash of which an address tells, made from the bytes of the NAR as they come: of a file of `size` bytes, or of the NAR itself.
 * None for a source address, whose hash is made anyway.
 */
class DeclaredHash {
  readonly isOfContents: boolean;
  readonly #type: HashType;
  readonly #hasher: Hasher | undefined;
  /** What is hashed of the NAR. */
  readonly #begin: number;
  readonly #end: number;
  #at = 0;

  constructor(ca: ContentAddress, size: number) {
    this.isOfContents = ca.method !== "recursive";
    this.#type = ca.hash.type;
    this.#hasher = isSourceAddress(ca) ? undefined : createHash(this.#type);
    this.#begin = this.isOfContents ? contentsAt : 0;
    this.#end = this.isOfContents ? contentsAt + size : Infinity;
  }

  take(chunk: Buffer): true {
    const begin = Math.max(0, this.#begin - this.#at);
    const end = Math.min(chunk.length, this.#end - this.#at);
    if (begin < end) this.#hasher?.update(chunk.subarray(begin, end));
    this.#at += chunk.length;
    return true;
  }

  finish(): Hash | undefined {
    return this.#hasher && Hash.of(this.#type, this.#hasher.digest());
  }
}
