import { letIn, type LetIn } from "./keyed-mutex.ts";

/**
 * Who waits, in fair turns: those who are in line under different names take turns, whoever came how often.
 *
 * A name may have names below it (a user's builds): then a turn of the first is a turn of one of the second.
 */
export class Turns {
  readonly #line: LetIn[] = [];
  /** Those whose turn comes first are first; some may have nobody in line any more. */
  readonly #below = new Map<string, Turns>();

  /** The line of whoever goes by these names. */
  lineOf([name, ...below]: readonly string[]): LetIn[] {
    if (name === undefined) return this.#line;
    let turns = this.#below.get(name);
    if (turns === undefined) this.#below.set(name, (turns = new Turns()));
    return turns.lineOf(below);
  }

  /** Lets in who is next; the others who go by its names have their turn after everybody else. False when nobody waits. */
  letIn(): boolean {
    if (letIn(this.#line)) return true;
    for (const [name, turns] of this.#below) {
      this.#below.delete(name);
      if (!turns.letIn()) continue;
      this.#below.set(name, turns);
      return true;
    }
    return false;
  }
}
