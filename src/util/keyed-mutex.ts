import { onAbort } from "./on-abort.ts";

/** One holder per key, first come first served; waiting can be given up. */
export class KeyedMutex {
  /** Per held key, those who wait for it, in order. */
  readonly #waiting = new Map<string, LetIn[]>();

  /**
   * Waits until nobody holds `key`, then holds it until the result is disposed of (more than once is harmless).
   * Rejects with the signal's reason when `signal` is aborted before that.
   */
  async lock(key: string, signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    const queue = this.#waiting.get(key);
    if (queue === undefined) this.#waiting.set(key, []);
    else await waitInLine(queue, signal);
    return once(() => this.#unlock(key));
  }

  /** Holds all of `keys` until the result is disposed of, if nobody holds one of them: without a wait, in which others could act. */
  tryLock(keys: Iterable<string>): Disposable | undefined {
    const taken = new Set(keys);
    for (const key of taken) if (this.#waiting.has(key)) return undefined;
    for (const key of taken) this.#waiting.set(key, []);
    return once(() => {
      for (const key of taken) this.#unlock(key);
    });
  }

  isLocked(key: string): boolean {
    return this.#waiting.has(key);
  }

  #unlock(key: string): void {
    if (!letIn(this.#waiting.get(key) ?? [])) this.#waiting.delete(key);
  }
}

/** Lets the first of a line in who still waits; false when there is none. */
export function letIn(line: LetIn[]): boolean {
  for (let next = line.shift(); next !== undefined; next = line.shift()) if (next()) return true;
  return false;
}

/** Lets somebody in; false when they have left meanwhile. */
export type LetIn = () => boolean;

/** Resolves when somebody takes the new last entry of `line` out and calls it, or rejects on abort. */
export async function waitInLine(line: LetIn[], signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isIn = false;
  let hasLeft = false;
  line.push(() => {
    isIn = !hasLeft;
    resolve();
    return isIn;
  });
  const leave = (): void => {
    hasLeft = !isIn; // or it came in just before
    resolve();
  };
  using _leaving = signal && onAbort(signal, leave);
  await promise;
  if (!isIn) signal?.throwIfAborted();
}

/** A Disposable that acts at its first disposal only. */
export function once(act: () => void): Disposable {
  let done = false;
  return {
    [Symbol.dispose](): void {
      if (done) return;
      done = true;
      act();
    },
  };
}
