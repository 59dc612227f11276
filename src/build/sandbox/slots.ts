import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { fileError } from "../../files/file-error.ts";
import { removeTree } from "../../files/remove-tree.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { Moment } from "../../util/moment.ts";
import { Slot } from "./slot.ts";

/** A slot in use; disposing of it cleans it and gives it back. */
export interface HeldSlot extends AsyncDisposable {
  readonly slot: Slot;
}

/** The slots of a daemon. Each is made when it is first needed. */
export class SlotPool implements AsyncDisposable {
  readonly #directory: string;
  readonly #trash: string;
  readonly #log: (text: string) => void;
  readonly #free: Slot[] = [];
  readonly #inUse = new Set<number>();
  readonly #removals = new Set<Promise<void>>();
  readonly #sweep = new Moment(500);

  /** `directory`: private to this daemon, on the store's file system and mount. */
  constructor(directory: string, log: (text: string) => void) {
    this.#directory = join(directory, "slots");
    this.#trash = join(directory, "trash");
    this.#log = log;
    mkdirSync(this.#trash, { recursive: true, mode: 0o700 });
    // What an earlier daemon left: that of this one is to come to its work before.
    for (const name of readdirSync(directory)) {
      if (name !== "trash") renameSync(join(directory, name), join(this.#trash, randomUUID()));
    }
    for (const name of readdirSync(this.#trash)) this.#remove(join(this.#trash, name), this.#sweep);
    mkdirSync(this.#directory, { mode: 0o700 });
  }

  async take(): Promise<HeldSlot> {
    // The one used last is the one whose mountpoints fit best, if the next build is like it.
    const slot = this.#free.pop() ?? (await this.#make());
    return { slot, [Symbol.asyncDispose]: () => this.#giveBack(slot) };
  }

  /** Removes everything; no slot is in use any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#sweep.hurry();
    for (const { directory } of this.#free.splice(0)) this.discard(directory);
    await Promise.all(this.#removals);
  }

  /** Takes a directory out of the way at once and removes it in the background. */
  discard(path: string): void {
    const trash = join(this.#trash, randomUUID());
    renameSync(path, trash);
    this.#remove(trash);
  }

  #remove(path: string, moment?: Moment): void {
    const removal = (moment?.come ?? Promise.resolve())
      .then(async () => await removeTree(path))
      .catch((error: unknown) =>
        this.#log(`cannot remove ${path}: ${KilnError.from(error).message}`),
      )
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  async #make(): Promise<Slot> {
    let number = 0;
    while (this.#inUse.has(number)) number++;
    this.#inUse.add(number);
    try {
      return await Slot.make(this.#directory, number);
    } catch (error) {
      this.#inUse.delete(number);
      throw fileError("make a sandbox in", this.#directory, error);
    }
  }

  async #giveBack(slot: Slot): Promise<void> {
    try {
      await slot.clean();
      this.#free.push(slot);
    } catch (error) {
      this.#log(`cannot clean ${slot.directory}: ${KilnError.from(error).message}`);
      this.discard(slot.directory);
      this.#inUse.delete(slot.number);
    }
  }
}
