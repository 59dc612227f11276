/**
 * Who waits, in fair turns: those who are in line under different names take turns, whoever came how often.
 *
 * A name may have names below it (a user's builds): then a turn of the first is a turn of one of the second.
 */
export class Turns {
  readonly #line: (() => void)[] = [];
  /** Those whose turn comes first are first; some may have nobody in line any more. */
  readonly #below = new Map<string, Turns>();

  /** The line of whoever goes by these names. */
  lineOf([name, ...below]: readonly string[]): (() => void)[] {
    if (name === undefined) return this.#line;
    let turns = this.#below.get(name);
    if (turns === undefined) this.#below.set(name, (turns = new Turns()));
    return turns.lineOf(below);
  }

  /** Takes out who is next; the others who go by its names have their turn after everybody else. */
  shift(): (() => void) | undefined {
    const nameless = this.#line.shift();
    if (nameless !== undefined) return nameless;
    for (const [name, turns] of this.#below) {
      this.#below.delete(name);
      const next = turns.shift();
      if (next === undefined) continue;
      this.#below.set(name, turns);
      return next;
    }
    return undefined;
  }
}
