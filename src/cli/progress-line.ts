/** One line that says how far a long command is. */
import type { CommandContext } from "./context.ts";

/** How often that is said, in milliseconds: on a terminal in one line, else line by line. */
const intervals = { terminal: 100, plain: 5000 };

export class ProgressLine implements Disposable {
  readonly #context: CommandContext;
  readonly #isTerminal = process.stderr.isTTY;
  #next: number;

  constructor(context: CommandContext) {
    this.#context = context;
    this.#next = performance.now() + this.#interval;
  }

  /** Shows what `line` gives, when it is time. */
  show(line: () => string): void {
    if (performance.now() < this.#next) return;
    this.#next = performance.now() + this.#interval;
    if (this.#isTerminal) process.stderr.write(`\r\x1b[Kkiln: ${line()}`);
    else this.#context.note(line());
  }

  /** Takes the line away, from a terminal. */
  [Symbol.dispose](): void {
    if (this.#isTerminal) process.stderr.write("\r\x1b[K");
  }

  get #interval(): number {
    return this.#isTerminal ? intervals.terminal : intervals.plain;
  }
}
