/** A moment that comes after some milliseconds, or as soon as somebody cannot wait for it. Keeps no process alive. */
export class Moment {
  /** Resolves when it has come. */
  readonly come: Promise<void>;
  readonly #resolve: () => void;

  constructor(milliseconds: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.come = promise;
    this.#resolve = resolve;
    setTimeout(resolve, milliseconds).unref();
  }

  /** It is now. */
  hurry(): void {
    this.#resolve();
  }
}
