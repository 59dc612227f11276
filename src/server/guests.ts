/** How many connections each user has: one who takes all there are must not keep the others out. */
import type { Caller } from "./access.ts";

/** Of the thousand that a listener takes. */
const mostOfOneUser = 250;

export class Guests {
  readonly #counts = new Map<number, number>();

  /**
   * A place for one more connection, to be given back by disposing of it; undefined when the user has too many. Trusted users, and
   * those whom the system does not tell, have no bound of their own.
   */
  admit({ role, credentials }: Caller): Disposable | undefined {
    if (role === "trusted" || credentials === undefined) return { [Symbol.dispose]: () => {} };
    const { uid } = credentials;
    const count = this.#counts.get(uid) ?? 0;
    if (count >= mostOfOneUser) return undefined;
    this.#counts.set(uid, count + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#counts.get(uid) ?? 0) - 1;
        if (left > 0) this.#counts.set(uid, left);
        else this.#counts.delete(uid);
      },
    };
  }
}
