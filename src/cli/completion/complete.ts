/**
 * What may come next on a command line. The shells' scripts ask for each press of the key, so that there is one logic for all
 * of them, and none is older than the program. Pure: it knows the commands, not the machine.
 */
import { Command, type Option } from "commander";
import { choicesOf, flagsOf, Switch } from "../arguments.ts";

export interface Candidate {
  readonly text: string;
  readonly description?: string;
}

export type Completion =
  | { readonly type: "words"; readonly candidates: readonly Candidate[] }
  /** File names after `prefix`; the shell knows best. */
  | { readonly type: "files" | "directories"; readonly prefix: string }
  /** Targets of the build file before the `#`. */
  | { readonly type: "targets"; readonly file: string }
  /** Their ids; with `names` also of what was built in them, and without a daemon, too. */
  | { readonly type: "builds"; readonly names: boolean }
  /** Names of roots. */
  | { readonly type: "roots" };

const nothing: Completion = { type: "words", candidates: [] };

/** Completes the last one of `words`, which stand after the name of the program. */
export function complete(program: Command, words: readonly string[]): Completion {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? "";
  const place = findPlace(program, before);
  const { command, operands, flag, onlyOperands } = place;
  if (flag !== undefined) return valuesOf(flag, "");
  if (!onlyOperands && word.startsWith("-")) return flags(place, word);
  if (!onlyOperands && operands === 0 && command.commands.length > 0) {
    const candidates = command.createHelp().visibleCommands(command);
    return matching(
      candidates.map((sub) => ({ text: sub.name(), description: firstLine(sub.description()) })),
      word,
    );
  }
  return operandsOf(program, { command, operands, word });
}

interface Place {
  /** The command that the words so far name. */
  readonly command: Command;
  /** The program, and the commands down to that one. */
  readonly chain: readonly Command[];
  /** How many operands were given. */
  readonly operands: number;
  /** The flag that waits for its value. */
  readonly flag: Option | undefined;
  /** Whether `--` was given. */
  readonly onlyOperands: boolean;
}

function findPlace(program: Command, words: readonly string[]): Place {
  const known = flagsOf([program], true);
  const chain = [program];
  let operands = 0;
  let flag: Option | undefined;
  for (const [i, word] of words.entries()) {
    if (flag !== undefined) {
      flag = undefined;
      continue;
    }
    if (word === "--") {
      operands += words.length - i - 1;
      return { command: chain.at(-1) ?? program, chain, operands, flag, onlyOperands: true };
    }
    if (word.startsWith("-") && word !== "-") {
      flag = waiting(new Map([...known, ...flagsOf(chain, false)]), word);
      continue;
    }
    const sub = operands === 0 ? subCommand(chain.at(-1), word) : undefined;
    if (sub === undefined) operands++;
    else chain.push(sub);
  }
  return { command: chain.at(-1) ?? program, chain, operands, flag, onlyOperands: false };
}

/** The flag in `word` if its value is the next word. */
function waiting(known: ReadonlyMap<string, Option>, word: string): Option | undefined {
  if (word.includes("=")) return undefined;
  // Of several short flags in one only the last can take the next word.
  const name = word.startsWith("--") ? word : `-${word.at(-1) ?? ""}`;
  const option = known.get(name);
  return option?.required === true ? option : undefined;
}

function subCommand(command: Command | undefined, word: string): Command | undefined {
  return command?.commands.find((c) => c.name() === word || c.aliases().includes(word));
}

function flags({ chain }: Place, word: string): Completion {
  // The command's own come first.
  const own = flagsOf(chain.toReversed(), false);
  const equals = word.indexOf("=");
  if (equals >= 0) {
    const option = own.get(word.slice(0, equals));
    const prefix = word.slice(0, equals + 1);
    if (option === undefined) return nothing;
    return valuesOf(option, prefix, word);
  }
  const visible = [...new Set(own.values())].filter((option) => !option.hidden);
  const help = { text: "--help", description: "display help for command" };
  const candidates = visible.flatMap((option) =>
    [option.long, word === "-" ? option.short : undefined].flatMap((text) =>
      text === undefined ? [] : [{ text, description: firstLine(option.description) }],
    ),
  );
  return matching([...candidates, help], word);
}

/** Values of a flag, by what its help calls them. */
function valuesOf(option: Option, prefix: string, word: string = ""): Completion {
  const choices = choicesOf(option) ?? (option instanceof Switch ? ["true", "false"] : undefined);
  if (choices !== undefined) {
    return matching(
      choices.map((text) => ({ text: prefix + text })),
      word,
    );
  }
  const noun = /<(.*?)>/.exec(option.flags)?.[1] ?? "";
  if (/dir/.test(noun)) return { type: "directories", prefix };
  if (/file|path/.test(noun)) return { type: "files", prefix };
  return nothing;
}

function operandsOf(
  program: Command,
  { command, operands, word }: { command: Command; operands: number; word: string },
): Completion {
  const known = command.registeredArguments;
  const last = known.at(-1);
  const argument = known[operands] ?? (last?.variadic === true ? last : undefined);
  if (argument === undefined) return nothing;
  if (argument.argChoices !== undefined) {
    return matching(
      argument.argChoices.map((text) => ({ text })),
      word,
    );
  }
  switch (argument.name()) {
    case "targets": {
      const hash = word.lastIndexOf("#");
      return hash < 0
        ? { type: "files", prefix: "" }
        : { type: "targets", file: word.slice(0, hash) };
    }
    case "build":
    case "builds":
    case "build-or-name":
      return { type: "builds", names: argument.name() === "build-or-name" };
    case "commands":
      return matching(
        program
          .createHelp()
          .visibleCommands(program)
          .map((sub) => ({ text: sub.name() })),
        word,
      );
    case "roots":
      return { type: "roots" };
    case "name":
      return nothing;
    default:
      return { type: "files", prefix: "" };
  }
}

/** Those of `candidates` that begin as `word` does. */
export function matching(candidates: readonly Candidate[], word: string): Completion {
  return { type: "words", candidates: candidates.filter(({ text }) => text.startsWith(word)) };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
