/**
 * SIGINT (Ctrl-C), SIGTERM, SIGHUP, and SIGPIPE: the reader of our output went away. A command that has something to take down says how with {@link Interrupts.handle}; without
 * that the first signal ends the process, and the second always does.
 */

export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE";

const exitCodes: Readonly<Record<Signal, number>> = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
  SIGPIPE: 141,
};

/** What a shell reports of a process that a signal ended. */
export function exitCodeOfSignal(signal: Signal): number {
  return exitCodes[signal];
}

export class Interrupts {
  #handler: ((signal: Signal) => void) | undefined;
  #leave: (code: number) => void;
  #count = 0;

  /** `leave` ends the process. */
  constructor(leave: (code: number) => void) {
    this.#leave = leave;
  }

  /** Listens on the process. */
  install(): this {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => this.receive(signal));
    return this;
  }

  receive(signal: Signal): void {
    // What is being taken down may still have something to say to a reader that went away.
    if (signal === "SIGPIPE" && this.#count > 0) return;
    this.#count++;
    if (this.#handler === undefined || this.#count > 1) this.#leave(exitCodes[signal]);
    else this.#handler(signal);
  }

  /** Until the returned value is disposed of, the first signal is for `handler`. */
  handle(handler: (signal: Signal) => void): Disposable {
    this.#handler = handler;
    return {
      [Symbol.dispose]: () => {
        this.#handler = undefined;
      },
    };
  }
}
