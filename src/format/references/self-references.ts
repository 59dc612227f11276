/**
 * Objects that refer to themselves. Their content address cannot depend on their path, so it is the hash of their NAR with the
 * digest of the path replaced by zeros, followed by where it stood:
 *
 *     H( NAR with zeros || "|" || "|" offset || "|" offset ... )
 *
 * and for every other object simply `H(NAR || "|")`. The digest counts in contents of files and in targets of symlinks, never
 * across members; in a name it is an error. Mach-O images hold hashes of themselves: those are zeroed, too, see macho/scan.ts.
 */
import type { Buffer } from "node:buffer";
import { createHash, type Hash as Hasher } from "node:crypto";
import { KilnError } from "../../util/kiln-error.ts";
import { isBase32 } from "../base32.ts";
import type { ContentAddress } from "../content-address.ts";
import { Hash } from "../hash.ts";
import { trailingBytes } from "../nar/faults.ts";
import { ignoring, NarReader } from "../nar/reader.ts";
import { digestLength } from "../store-path.ts";
import { ModuloHasher, type AffectedMember, type MachoBufferCreator } from "./modulo.ts";
import type { Rewrite } from "./rewrite.ts";

export type { AffectedMember, MachoBufferCreator } from "./modulo.ts";
export type { Rewrite } from "./rewrite.ts";

export interface SelfReferenceAnalysis {
  /** The source address. */
  readonly ca: ContentAddress;
  /** What to change when the digest becomes another, in this order. */
  readonly rewrites: readonly Rewrite[];
  /** The paths of the members that this changes, in the NAR's order. */
  readonly paths: readonly string[];
  /** The same members, with where they are. */
  readonly members: readonly AffectedMember[];
  /** Whether the object refers to itself. */
  readonly self: boolean;
  /** The hash of the NAR as it is; unknown if the object refers to itself, since then another one was hashed. */
  readonly narHash: Hash | undefined;
  readonly narSize: number;
}

/** Finds self references and computes the source address, in one pass over the NAR's bytes and in bounded memory. */
export class SelfReferenceAnalyzer {
  readonly #modulo: ModuloHasher | undefined;
  readonly #hash: Hasher = createHash("sha256");
  readonly #reader: NarReader;

  /**
   * @param digest that of the path the object has now; without one, nothing is searched for
   * @param buffers for parts of Mach-O files; default ordinary memory
   */
  constructor(digest: string | undefined, buffers?: MachoBufferCreator) {
    if (digest !== undefined && (digest.length !== digestLength || !isBase32(digest))) {
      throw new KilnError("path.invalid", `${JSON.stringify(digest)} is no digest of a path`);
    }
    this.#modulo = digest === undefined ? undefined : new ModuloHasher(digest, buffers);
    this.#reader = new NarReader(this.#modulo ?? ignoring);
  }

  /**
   * Takes the next bytes of the NAR.
   *
   * @throws KilnError `nar.…` when it is not one, `reference.inName` when the digest stands in a name
   */
  write(chunk: Buffer): void {
    const taken = this.#reader.write(chunk);
    if (taken < chunk.length) throw trailingBytes(this.#reader.bytesRead);
    if (this.#modulo === undefined) this.#hash.update(chunk);
  }

  /** @throws KilnError `nar.truncated` when the NAR is not complete. */
  finish(): SelfReferenceAnalysis {
    this.#reader.end();
    const { rewrites, members } = this.#modulo ?? { rewrites: [], members: [] };
    const self = rewrites.length > 0;
    const narHash = self ? undefined : (this.#modulo?.narHash() ?? this.#hash.copy().digest());
    const hash = this.#modulo?.finish() ?? this.#hash.update("|").digest();
    return {
      ca: { method: "recursive", hash: Hash.of("sha256", hash) },
      rewrites,
      paths: members.map(({ path }) => path),
      members,
      self,
      narHash: narHash && Hash.of("sha256", narHash),
      narSize: this.#reader.bytesRead,
    };
  }
}
