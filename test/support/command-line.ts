/** Whether a command line is one that Kiln understands, without running it. */
import type { Command } from "commander";
import { flagsOf, normalizeArguments } from "../../src/cli/arguments.ts";
import { Interrupts } from "../../src/cli/interrupts.ts";
import { makeProgram } from "../../src/cli/program.ts";

const { root: program } = makeProgram({
  env: {},
  program: "kiln",
  interrupts: new Interrupts(() => {}),
  note: () => {},
});

/** The words of a line, up to what the shell does with them. */
function wordsOf(line: string): string[] {
  const [own = ""] = line.split(/ (?:[|<>]|2>|&&)|\)$|;/);
  return (own.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll(/["'[\]]/g, ""));
}

/** Why Kiln would not understand the line (without `kiln`); undefined when it would. */
export function faultOf(line: string): string | undefined {
  const words = normalizeArguments(program, wordsOf(line));
  const chain: Command[] = [program];
  for (const word of words) {
    const sub = chain.at(-1)?.commands.find((c) => c.name() === word || c.aliases().includes(word));
    if (sub === undefined) break;
    chain.push(sub);
  }
  // `kiln store object …` speaks of all commands of a group.
  if (chain.length === 1) return `no command ${words[0]}`;
  const flags = flagsOf(chain, false);
  const unknown = words
    .slice(0, words.includes("--") ? words.indexOf("--") : undefined)
    .filter((word) => /^-{1,2}[a-z]/.test(word) && !flags.has(word.split("=")[0] ?? ""));
  return unknown.length === 0 ? undefined : `no flag ${unknown.join(", ")}`;
}
