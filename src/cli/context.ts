/** What every command is given: the world it runs in, and how it was called. */
import type { Interrupts } from "./interrupts.ts";
import type { Environment } from "./settings.ts";

export interface Surroundings {
  readonly env: Environment;
  /** The program as it has to be typed: `kiln`, `bin/kiln`. */
  readonly program: string;
  readonly interrupts: Interrupts;
  /** Says something on standard error, as `kiln: …`. */
  readonly note: (line: string) => void;
}

export interface CommandContext extends Surroundings {
  /** The command line as it was typed, without the program. */
  readonly typed: readonly string[];
  /** A command to be typed next: the program, `words`, with the flags that have named the store here. */
  readonly kiln: (words: string) => string;
}

/** Writes a result, with its line end, to standard output. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
