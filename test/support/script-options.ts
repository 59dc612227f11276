/** What the measuring programs of this repository take on their command lines. */
import { parseArgs, type ParseArgsConfig } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>["values"];

/** The options that were given. `--help` prints `usage` and ends; a mistake is told in a line, and ends with 2. */
export function scriptOptions<const T extends Options>(usage: string, options: T): Values<T> {
  if (process.argv.slice(2).includes("--help")) {
    console.log(`usage: ${usage}`);
    process.exit(0);
  }
  try {
    return parseArgs<{ options: T }>({ options }).values;
  } catch (error) {
    return mistake(`${error instanceof Error ? error.message : String(error)}\nusage: ${usage}`);
  }
}

/** A number above zero; anything else is a mistake. */
export function positive(option: string, text: string): number {
  const number = Number(text);
  return number > 0 ? number : mistake(`--${option}: ${text} is no number above zero`);
}

/** Ends the program: it was asked for something that there is not. */
export function mistake(message: string): never {
  console.error(message);
  process.exit(2);
}
