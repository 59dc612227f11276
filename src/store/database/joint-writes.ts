/**
 * Transactions of many as one. While the disk is busy with what was written before, what else is to be written gathers, and becomes one
 * transaction with one sync: changing the same pages once costs a fraction of changing them for everybody.
 */
import { SharedRun } from "../../util/shared-run.ts";

export interface JointWritesOptions {
  /** Runs a transaction, or a part of one, that can fail alone. */
  readonly transact: (fn: () => void) => void;
  /** Whether a transaction is open. */
  readonly isOpen: () => boolean;
  /** Brings what was committed to disk. */
  readonly sync: () => Promise<void>;
}

interface Write {
  readonly run: () => void;
  failure?: { readonly error: unknown } | undefined;
}

export class JointWrites {
  readonly #options: JointWritesOptions;
  readonly #rounds: SharedRun;
  #waiting: Write[] = [];

  constructor(options: JointWritesOptions) {
    this.#options = options;
    this.#rounds = new SharedRun(() => this.#round());
  }

  /** Runs `fn` in the next round; resolves when what it wrote is on disk, and rejects with what it threw: then nothing of it is written. */
  async add<T>(fn: () => T): Promise<T> {
    let result: { readonly value: T } | undefined;
    const write: Write = { run: () => (result = { value: fn() }) };
    this.#waiting.push(write);
    await this.#rounds.run();
    if (write.failure !== undefined) throw write.failure.error;
    if (result === undefined) throw new Error("a round left somebody out");
    return result.value;
  }

  async #round(): Promise<void> {
    const writes = this.#waiting;
    this.#waiting = [];
    if (writes.length === 1 || !this.#writeAll(writes)) {
      for (const write of writes) this.#write(write);
    }
    if (writes.some(({ failure }) => failure === undefined)) await this.#options.sync();
  }

  /** Whether that was possible. If not, nothing was written. */
  #writeAll(writes: readonly Write[]): boolean {
    const { transact, isOpen } = this.#options;
    try {
      transact(() => {
        for (const write of writes) {
          this.#write(write);
          // A full disk ends a transaction as a whole.
          if (!isOpen()) throw write.failure?.error;
        }
      });
      return true;
    } catch {
      return false; // each alone will find out why
    }
  }

  #write(write: Write): void {
    write.failure = undefined;
    try {
      this.#options.transact(write.run);
    } catch (error) {
      write.failure = { error };
    }
  }
}
