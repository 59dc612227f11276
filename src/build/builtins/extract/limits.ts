/** How much an archive may ask for. */
import { builderFault } from "../fault.ts";

export interface ExtractLimits {
  /** Entries of the archive and directories made for them. Default 1,000,000. */
  readonly entries: number;
  /** Directories below one another. Default 512; a NAR may have 1,000. */
  readonly depth: number;
  /** Bytes of all files together, and of whatever is decompressed to find them. Default 64 GiB. */
  readonly bytes: number;
}

export const defaultExtractLimits: ExtractLimits = {
  entries: 1_000_000,
  depth: 512,
  bytes: 64 * 2 ** 30,
};

/**
 * The most bytes a path inside the output may have. The kernel takes 4095 for a whole path: the rest is for the store directory
 * and the object's name.
 */
export const maxPathBytes = 3584;

/** The most bytes of a name between two slashes, as in NARs and in Linux. */
export const maxNameBytes = 255;

/** The most bytes of a symlink's target, as in NARs and in Linux. */
export const maxTargetBytes = 4095;

/** Counts what an archive has asked for. Every method throws KilnError `extract.limit`. */
export class Budget {
  readonly limits: ExtractLimits;
  #entries = 0;
  #bytes = 0;

  constructor(limits: ExtractLimits) {
    this.limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  spendEntry(): void {
    if (++this.#entries > this.limits.entries) {
      throw limit(`the archive has more than ${this.limits.entries} entries`);
    }
  }

  spendBytes(count: number): void {
    this.checkBytes(count);
    this.#bytes += count;
  }

  /** Whether so many more bytes may come: for sizes that are only announced. */
  checkBytes(count: number): void {
    if (this.#bytes + count > this.limits.bytes) {
      throw limit(`the archive unpacks to more than ${this.limits.bytes} bytes`);
    }
  }

  checkDepth(depth: number, name: string): void {
    if (depth > this.limits.depth) {
      throw limit(`${name} is more than ${this.limits.depth} directories deep`);
    }
  }
}

function limit(message: string): Error {
  return builderFault("extract.limit", message);
}
