/** One holder per key, first come first served; waiting can be given up. */
export class KeyedMutex {
  /** Per held key, those who wait for it, in order. */
  readonly #waiting = new Map<string, (() => void)[]>();

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
    const next = this.#waiting.get(key)?.shift();
    if (next === undefined) this.#waiting.delete(key);
    else next();
  }
}

/** Resolves when somebody takes the new last entry of `queue` out and calls it; on abort the entry leaves by itself. */
export async function waitInLine(
  queue: (() => void)[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isIn = false;
  const enter = (): void => {
    isIn = true;
    resolve();
  };
  const leave = (): void => {
    if (isIn) return; // it came in just before
    queue.splice(queue.indexOf(enter), 1);
    resolve();
  };
  queue.push(enter);
  signal?.addEventListener("abort", leave, { once: true });
  await promise;
  signal?.removeEventListener("abort", leave);
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
