/** How commands are put together, and how commander's complaints become Kiln's. */
import { Command, CommanderError, type Option } from "commander";
import { KilnError } from "../util/kiln-error.ts";
import { choicesOf, commandNamed, commandWords, normalizeArguments, Switch } from "./arguments.ts";
import { configurationFiles, configurationMembers, loadConfiguration } from "./configuration.ts";
import { type CommandContext, say, type Surroundings } from "./context.ts";
import type { GlobalFlags } from "./settings.ts";
import { nearest } from "./text.ts";
import { storeFlags, withStore } from "./typed.ts";
import { versionLines, versionReport } from "./version.ts";

/** A command's work: operands and flags in, exit code out (nothing: 0). */
export type Work<F> = (
  operands: readonly string[],
  flags: F & GlobalFlags,
  context: CommandContext,
) => Promise<number | undefined> | Promise<void>;

interface VersionFlag {
  readonly version?: boolean;
}

export class CommandTree {
  readonly root: Command;
  readonly #surroundings: Surroundings;
  #typed: readonly string[] = [];
  #exitCode = 0;

  constructor(name: string, description: string, surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.root = new Command(name)
      .description(description)
      .exitOverride()
      .configureOutput({ outputError: () => {} })
      .configureHelp({
        showGlobalOptions: true,
        optionTerm: (option: Option) =>
          option instanceof Switch
            ? option.flags.replace(" [bool]", choicesOf(option) === undefined ? "" : "[=mode]")
            : option.flags,
        // Commander would add what a switch means when it is given alone.
        optionDescription: (option: Option) => option.description,
      })
      .helpCommand(false)
      .addOption(new Switch("--version", "show version information"));
    this.#showsHelp(this.root);
    const help = this.root.command("help [commands...]").description("show the help of a command");
    help.allowExcessArguments(false).action(() => this.#help(help.args));
  }

  /** A command that holds others. Alone it shows its help. */
  group(parent: Command, name: string, description: string): Command {
    const command = parent.command(name).description(description);
    this.#showsHelp(command);
    return command;
  }

  /** A command that does something; `load` gives its work when it is the one that runs. */
  leaf<F>(
    parent: Command,
    name: string,
    options: {
      readonly description: string;
      readonly hidden?: boolean;
      /** Whether it has no use for configuration files, and works with broken ones; default false. */
      readonly unconfigured?: boolean;
      readonly load: () => Promise<Work<F>>;
    },
  ): Command {
    const command = parent
      .command(name, { hidden: options.hidden ?? false })
      .description(options.description)
      .allowExcessArguments(false);
    command.action(async () => {
      const flags = command.optsWithGlobals<F & GlobalFlags & VersionFlag>();
      if (flags.version === true) return sayVersion();
      const configured = options.unconfigured === true ? flags : await this.#configured(flags);
      const work = await options.load();
      const context: CommandContext = {
        ...this.#surroundings,
        typed: this.#typed,
        kiln: (words) => [this.#surroundings.program, words, ...storeFlags(flags)].join(" "),
      };
      try {
        this.#exitCode = (await work(command.args, configured, context)) ?? 0;
      } catch (error) {
        throw hintingAtStore(error, context);
      }
    });
    return command;
  }

  /**
   * Runs a command line (without node and script) and gives its exit code.
   *
   * @throws KilnError `usage.*` for what cannot be understood, and whatever the command throws
   */
  async run(args: readonly string[]): Promise<number> {
    this.#exitCode = 0;
    this.#typed = args;
    const { command, operand } = commandNamed(this.root, args);
    if (command.commands.length > 0 && operand !== undefined)
      throw unknownCommand(command, operand);
    try {
      await this.root.parseAsync(normalizeArguments(this.root, args), { from: "user" });
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      if (error.exitCode === 0) return 0; // help was asked for
      throw usageError(error, commandWords(this.root, args));
    }
    return this.#exitCode;
  }

  /** The flags with what the configuration files say. */
  async #configured<F extends GlobalFlags>(flags: F): Promise<F> {
    const files = configurationFiles(this.#surroundings.env, flags.config ?? []);
    const configuration = await loadConfiguration(files);
    const { unused } = configuration;
    if (unused.length > 0) {
      const known = configurationMembers.join(", ");
      const what = `${unused.join(", ")}; what has one: ${known}`;
      this.#surroundings.note(`warning: configuration without effect: ${what}`);
    }
    return { ...flags, configuration };
  }

  #help(words: readonly string[]): void {
    let command = this.root;
    for (const word of words) {
      const sub = command.commands.find((c) => c.name() === word || c.aliases().includes(word));
      if (sub === undefined) throw unknownCommand(command, word);
      command = sub;
    }
    command.outputHelp();
  }

  #showsHelp(command: Command): void {
    command.allowExcessArguments().action(() => {
      if (command.optsWithGlobals<VersionFlag>().version === true) sayVersion();
      else command.outputHelp();
    });
  }
}

/** The error with the store's flags in the commands that it proposes. */
function hintingAtStore(error: unknown, { kiln }: CommandContext): unknown {
  if (!(error instanceof KilnError) || error.hint === undefined) return error;
  const hint = withStore(error.hint, kiln);
  if (hint === error.hint) return error;
  const { code, message, kind, path, at } = error;
  return new KilnError(code, message, {
    kind,
    hint,
    ...(path !== undefined && { path }),
    ...(at !== undefined && { at }),
    cause: error,
  });
}

function sayVersion(): void {
  for (const line of versionLines(versionReport())) say(line);
}

function fullName(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  return names.join(" ");
}

function unknownCommand(command: Command, word: string): KilnError {
  const known = command
    .createHelp()
    .visibleCommands(command)
    .map((sub) => sub.name());
  const near = nearest(word, known);
  return new KilnError("usage.command", `unknown command "${word}" for "${fullName(command)}"`, {
    hint: near === undefined ? `one of ${known.join(", ")}` : `${fullName(command)} ${near}`,
  });
}

/** Commander's codes and what they are called here. */
const usageCodes: Readonly<Record<string, string>> = {
  "commander.unknownOption": "usage.flag",
  "commander.optionMissingArgument": "usage.value",
  "commander.invalidArgument": "usage.value",
  "commander.unknownCommand": "usage.command",
};

function usageError(error: CommanderError, command: readonly string[]): KilnError {
  const [first = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const meant = /^\(Did you mean (.*)\?\)$/.exec(more[0] ?? "")?.[1];
  const message = first
    .replace(/^unknown option '(--?[^=]*).*'$/, "unknown flag $1")
    .replace(/^option '(.*?)(?: <.*>)?' argument missing$/, "flag $1 needs a value")
    .replace(
      /^command-argument value '(.*)' is invalid for argument '(.*)'\. Allowed choices are (.*)$/,
      '$2: "$1" is none of $3',
    )
    .replace(/^missing required argument '(.*)'$/, "missing argument: $1")
    .replace(/^too many arguments for .* but got \d+: /, "unexpected argument ")
    .replace(/\.$/, "");
  const code = usageCodes[error.code] ?? "usage.argument";
  const help =
    message === "unknown flag -v" && command.length === 0
      ? "kiln --version"
      : ["kiln help", ...command].join(" ");
  return new KilnError(code, message, { hint: meant ?? help });
}
