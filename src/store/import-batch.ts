/** Objects of a stream that become objects of the store together. */
import type { KilnError } from "../util/kiln-error.ts";
import type { Candidate } from "./placement.ts";

interface Extent {
  readonly objects: number;
  readonly entries: number;
  readonly bytes: number;
}

/** A batch may be placed when it reaches one of these, or its first object came so many milliseconds ago, which is looked at when one comes. */
const enough: Extent = { objects: 512, entries: 2000, bytes: 32 * 1024 * 1024 };
const oldEnough = 100;

/** While the batch before it is being placed, a batch may grow to one of these. */
const most: Extent = { objects: 1024, entries: 16_000, bytes: 256 * 1024 * 1024 };

/** An object that was received: to be placed, or rejected already. */
export type Received =
  | { readonly storePath: string; readonly candidate: Candidate }
  | { readonly storePath: string; readonly error: KilnError };

/** Objects received one after the other, which share their syncs and transactions. */
export class Batch {
  readonly items: Received[] = [];
  readonly candidates: Candidate[] = [];
  /** When the first one came. */
  #begun = Infinity;
  #entries = 0;
  #bytes = 0;

  add(item: Received): void {
    if (this.items.length === 0) this.#begun = performance.now();
    this.items.push(item);
    if ("error" in item) return;
    this.candidates.push(item.candidate);
    this.#entries += item.candidate.entries;
    this.#bytes += item.candidate.info.narSize;
  }

  /** Whether it may be placed. */
  get isFull(): boolean {
    return this.#reaches(enough) || performance.now() - this.#begun >= oldEnough;
  }

  /** Whether it should not grow any more. */
  get isOverfull(): boolean {
    return this.#reaches(most);
  }

  #reaches({ objects, entries, bytes }: Extent): boolean {
    return this.items.length >= objects || this.#entries >= entries || this.#bytes >= bytes;
  }
}
