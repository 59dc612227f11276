/**
 * Trees on their way to nothing: removed in the background, one after the other, while everything else goes on.
 *
 * A file goes in the thread pool, since a large one takes its time; a folder in slices.
 */
import { unlink } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { errorCode } from "../files/file-error.ts";
import { removeTree } from "../files/remove-tree.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Moment } from "../util/moment.ts";

/** What to tell of a tree that could not be removed. */
export type OnFault = (message: string) => void;

export class Removals {
  readonly #onFault: OnFault;
  /** In the order in which they go. */
  readonly #waiting = new Set<string>();
  #running: Promise<void> | undefined;
  /** Nothing is removed before it. */
  #start: Moment | undefined;

  constructor(onFault: OnFault) {
    this.#onFault = onFault;
  }

  /** Has the tree removed. It must lie where nobody else writes. */
  add(tree: string): void {
    this.#waiting.add(tree);
    this.#running ??= this.#run();
  }

  /** Lets nothing be removed for so many milliseconds, unless somebody waits for it. Counts before the first {@link add}. */
  delay(milliseconds: number): void {
    this.#start = new Moment(milliseconds);
  }

  /** Resolves when nothing is being removed any more. */
  async settled(): Promise<void> {
    this.#start?.hurry();
    while (this.#running !== undefined) await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    await this.#start?.come;
    // Whoever asked for it gets the answer first.
    await setImmediate();
    // The set grows while it is walked.
    for (const tree of this.#waiting) {
      this.#waiting.delete(tree);
      try {
        await remove(tree);
      } catch (error) {
        this.#onFault(`cannot remove ${tree}: ${KilnError.from(error).message}`);
      }
    }
    this.#running = undefined;
  }
}

async function remove(tree: string): Promise<void> {
  try {
    await unlink(tree);
  } catch (error) {
    // A folder; or whatever it is, that is found out there.
    if (errorCode(error) !== "ENOENT") await removeTree(tree);
  }
}
