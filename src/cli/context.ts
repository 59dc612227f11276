/** What every command is given: the world it runs in. */
import type { Interrupts } from "./interrupts.ts";
import type { Environment } from "./settings.ts";

export interface CommandContext {
  readonly env: Environment;
  readonly interrupts: Interrupts;
  /** Says something on standard error, as `kiln: …`. */
  note(line: string): void;
}

/** Writes a result, with its line end, to standard output. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
