/** What `setTimeout` takes at most; beyond, it fires at once. */
const longest = 2 ** 31 - 1;

/** Calls once, after a time of any length. Disposing of it, and {@link refresh}, work as with `setTimeout`. */
export class Timer implements Disposable {
  readonly #milliseconds: number;
  readonly #call: () => void;
  #due: number;
  #timer: NodeJS.Timeout;

  constructor(milliseconds: number, call: () => void) {
    this.#milliseconds = milliseconds;
    this.#call = call;
    this.#due = performance.now() + milliseconds;
    this.#timer = this.#start();
  }

  /** Begins anew. */
  refresh(): void {
    this.#due = performance.now() + this.#milliseconds;
    if (this.#milliseconds <= longest) this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #start(): NodeJS.Timeout {
    const left = Math.ceil(this.#due - performance.now());
    return setTimeout(() => this.#look(), Math.min(left, longest));
  }

  #look(): void {
    if (performance.now() >= this.#due) this.#call();
    else this.#timer = this.#start();
  }
}
