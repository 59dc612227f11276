/** How the program was called, for messages that say what to type next. */
import { basename, delimiter, dirname } from "node:path";
import { shellWord } from "./typed.ts";
import type { Environment } from "./xdg.ts";

/** In which the checkout's `bin/kiln` says how it was called. */
const variable = "KILN_CALLED";

/** The program as it has to be typed: `kiln` where the PATH has it, else as it was typed. */
export function calledName(env: Environment): string {
  const typed = env[variable];
  if (typed === undefined) return env["npm_command"] === "exec" ? "npx kiln" : "kiln";
  const isInPath = (env["PATH"] ?? "").split(delimiter).includes(dirname(typed));
  return shellWord(isInPath ? basename(typed) : typed);
}

/** {@link calledName} of this process; nothing that it starts is told. */
export function takeCalledName(): string {
  const name = calledName(process.env);
  delete process.env[variable];
  return name;
}

/** A hint with the commands in it as they have to be typed. */
export function asCalled(hint: string, program: string): string {
  return hint.replaceAll(/(?<![\w./-]|npx )kiln (?=[a-z-])/g, () => `${program} `);
}
