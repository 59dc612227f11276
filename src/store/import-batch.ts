/** Objects of a stream that become objects of the store together. */
import type { KilnError } from "../util/kiln-error.ts";
import type { Candidate } from "./placement.ts";

/** A batch may be placed when it reaches one of these; its age, in milliseconds, is looked at when an object comes. */
const limits = { objects: 128, entries: 2000, bytes: 32 * 1024 * 1024, age: 100 };

/** While the batch before it is being placed, a batch may grow to so many times the limits. */
const growth = 8;

/** An object that was received: to be placed, or rejected already. */
export type Received =
  | { readonly storePath: string; readonly candidate: Candidate }
  | { readonly storePath: string; readonly error: KilnError };

/** Objects received one after the other, which share their syncs and transactions. */
export class Batch {
  readonly items: Received[] = [];
  readonly candidates: Candidate[] = [];
  readonly #start = performance.now();
  #entries = 0;
  #bytes = 0;

  add(item: Received): void {
    this.items.push(item);
    if ("error" in item) return;
    this.candidates.push(item.candidate);
    this.#entries += item.candidate.entries;
    this.#bytes += item.candidate.info.narSize;
  }

  /** Whether it may be placed. */
  get isFull(): boolean {
    return this.#exceeds(1) || performance.now() - this.#start >= limits.age;
  }

  /** Whether it should not grow any more. */
  get isOverfull(): boolean {
    return this.#exceeds(growth);
  }

  #exceeds(times: number): boolean {
    return (
      this.items.length >= times * limits.objects ||
      this.#entries >= times * limits.entries ||
      this.#bytes >= times * limits.bytes
    );
  }
}
