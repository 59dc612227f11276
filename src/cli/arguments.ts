/**
 * zb's habits of writing flags, for commander.
 *
 * - Every flag may stand before or after the sub-command it belongs to.
 * - A switch alone is true; a value only follows "=": `--sandbox=false`, never `--sandbox false`.
 * - A flag that takes a value takes the next argument, whatever that looks like: `--build-log-retention -5m`; one whose value may be
 *   left out takes it unless it looks like a flag: `--ui`, `--ui localhost:80`.
 *
 * {@link normalizeArguments} rewrites a command line into the one form that leaves no choice: the words of the
 * sub-command first, then each flag as `--name=value`, operands in their order.
 */
import { Command, Option } from "commander";
import { KilnError } from "../util/kiln-error.ts";
import { parseBoolean } from "./go-values.ts";

/** Reads a flag's value; `words` are all that there are, where they are few. */
type Parse = ((text: string) => unknown) & { readonly words?: readonly string[] };

/** Commander's own choices would stand in the help a second time. */
const choices = new WeakMap<Option, readonly string[]>();

/** A flag that is true or false. */
export class Switch extends Option {
  /** `flags` as commander's, without a value: `-k, --keep-failed`. */
  constructor(
    flags: string,
    description: string,
    /** What comes of its value; default: Go's words for true and false. Given alone, the flag means `true`. */
    parse: Parse = parseBoolean,
  ) {
    super(`${flags} [bool]`, description);
    this.argParser((text) => parsed(this, parse, text)).preset("true");
    if (parse.words !== undefined) choices.set(this, parse.words);
  }
}

/** A flag with a value, read by `parse`; may be given once (the last one counts). */
export function valued(flags: string, description: string, parse: Parse): Option {
  const option = new Option(flags, description);
  option.argParser((text) => parsed(option, parse, text));
  if (parse.words !== undefined) choices.set(option, parse.words);
  return option;
}

/** The words that are values of the flag; undefined when there are others. */
export function choicesOf(option: Option): readonly string[] | undefined {
  return choices.get(option);
}

/** A flag with a value that may be given several times; the values are collected in order. */
export function repeated(
  flags: string,
  description: string,
  parse: (text: string) => unknown = (text) => text,
): Option {
  const option = new Option(flags, description);
  return option.argParser<unknown[]>((text, before) => [
    ...(before ?? []),
    parsed(option, parse, text),
  ]);
}

/** The flag's value; what is wrong with it is said with the flag's name. */
function parsed({ flags }: Option, parse: (text: string) => unknown, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    const { message, hint } = KilnError.from(error);
    const name = flags.replace(/ [[<].*/, "");
    throw new KilnError("usage.value", `flag ${name}: ${message}`, {
      ...(hint !== undefined && { hint }),
      cause: error,
    });
  }
}

/** The words of a command line that name the command: `["store", "list"]`. */
export function commandWords(program: Command, args: readonly string[]): readonly string[] {
  return new Scan(program, args).words;
}

/** The command that a command line names, and its first operand. */
export function commandNamed(
  program: Command,
  args: readonly string[],
): { readonly command: Command; readonly operand: string | undefined } {
  const { chain, items, literal } = new Scan(program, args);
  const [operand = literal[1]] = items.filter(
    (item): item is string => typeof item === "string" && !item.startsWith("-"),
  );
  return { command: chain.at(-1) ?? program, operand };
}

/** The arguments (without node and script) in commander's unambiguous form. */
export function normalizeArguments(program: Command, args: readonly string[]): string[] {
  const scanned = new Scan(program, args);
  const own = flagsOf(scanned.chain, false);
  const rest = scanned.items.map((item) => {
    if (typeof item === "string") return item;
    const name = own.get(item.name)?.long ?? item.name;
    return item.value === undefined ? name : `${name}=${item.value}`;
  });
  return [...scanned.words, ...rest, ...scanned.literal];
}

/** A flag as it was written, `name` being its long or short name. */
interface WrittenFlag {
  readonly name: string;
  readonly value: string | undefined;
}

/** One pass over the arguments. Until the sub-command is known, any command's flag may come; then its own mean what they mean there. */
class Scan {
  /** The words that name the sub-command. */
  readonly words: string[] = [];
  /** The commands they name, the program first. */
  readonly chain: Command[];
  /** Flags and operands, in order. */
  readonly items: (string | WrittenFlag)[] = [];
  /** `--` and what follows it. */
  readonly literal: readonly string[];
  readonly #flags: ReadonlyMap<string, Option>;
  readonly #args: readonly string[];
  #at = 0;

  constructor(program: Command, args: readonly string[]) {
    this.chain = [program];
    this.#flags = flagsOf([program], true);
    this.#args = args;
    while (this.#at < args.length) {
      const argument = args[this.#at] ?? "";
      if (argument === "--") break;
      this.#at++;
      if (argument.startsWith("--")) this.#long(argument);
      else if (argument.startsWith("-") && argument.length > 1) this.#short(argument);
      else this.#word(argument);
    }
    this.literal = args.slice(this.#at);
  }

  #long(argument: string): void {
    const equals = argument.indexOf("=");
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const value = equals < 0 ? undefined : argument.slice(equals + 1);
    const option = this.#option(name);
    const positive = `--${name.slice("--no-".length)}`;
    if (option !== undefined) this.#flag(name, option, value);
    else if (
      value === undefined &&
      name.startsWith("--no-") &&
      this.#option(positive) instanceof Switch
    )
      this.items.push({ name: positive, value: "false" });
    else this.items.push(argument);
  }

  /** `-k`, `-o FILE`, `-oFILE`, and several in one: `-kqo FILE`. */
  #short(argument: string): void {
    for (let i = 1; i < argument.length; i++) {
      const name = `-${argument[i]}`;
      const option = this.#option(name);
      if (option === undefined) {
        this.items.push(`-${argument.slice(i)}`);
        return;
      }
      const attached = argument.slice(i + 1);
      if ((option.required && attached !== "") || attached.startsWith("=")) {
        this.#flag(name, option, attached.replace(/^=/, ""));
        return;
      }
      this.#flag(name, option, undefined);
    }
  }

  #option(name: string): Option | undefined {
    return flagsOf(this.chain, false).get(name) ?? this.#flags.get(name);
  }

  #flag(name: string, option: Option, value: string | undefined): void {
    if (value !== undefined) this.items.push({ name, value });
    else if (option instanceof Switch) this.items.push({ name, value: "true" });
    else if (this.#takesNext(option))
      this.items.push({ name, value: this.#args[this.#at++] ?? "" });
    else this.items.push({ name, value: undefined });
  }

  /** A value that may be left out is not what looks like a flag. */
  #takesNext(option: Option): boolean {
    const next = this.#args[this.#at];
    if (next === undefined) return false;
    return option.required || (option.optional && !next.startsWith("-"));
  }

  #word(argument: string): void {
    const operandSeen = this.items.some(
      (item) => typeof item === "string" && !item.startsWith("-"),
    );
    const sub = operandSeen
      ? undefined
      : this.chain
          .at(-1)
          ?.commands.find((c) => c.name() === argument || c.aliases().includes(argument));
    if (sub === undefined) {
      this.items.push(argument);
      return;
    }
    this.words.push(argument);
    this.chain.push(sub);
  }
}

/** The flags of these commands by each of their names; with `deep`, of all commands below them, too. */
export function flagsOf(commands: readonly Command[], deep: boolean): Map<string, Option> {
  const flags = new Map<string, Option>();
  const visit = (command: Command): void => {
    for (const option of command.options) {
      if (option.long !== undefined) flags.set(option.long, option);
      if (option.short !== undefined) flags.set(option.short, option);
    }
    if (deep) command.commands.forEach(visit);
  };
  commands.forEach(visit);
  return flags;
}
