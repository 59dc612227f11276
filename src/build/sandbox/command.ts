/**
 * What the last link of the chain, a shell inside the sandbox, is told to do: set the builder's environment and arguments.
 *
 * They come in a file because they are bytes, and because a variable such as LD_PRELOAD must not reach any program of the host.
 */
import { Buffer } from "node:buffer";
import { stringToBytes } from "../../util/byte-string.ts";

export interface BuilderCommand {
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
}

/**
 * Why a builder cannot be started, in the words of the kernel's errors as Go prints them; undefined when nothing is known against it.
 */
export function faultOf({ builder, args, env }: BuilderCommand): string | undefined {
  if (!builder.startsWith("/")) return "the builder is not an absolute path";
  const texts = [builder, ...args, ...[...env].flat()];
  if (texts.some((text) => text.includes("\0"))) return "invalid argument";
  return words({ builder, args, env }).some((word) => word.length > longestWord)
    ? tooLong
    : undefined;
}

const tooLong = "argument list too long";

/** What the kernel takes for one argument or variable, in bytes. */
const longestWord = 131_071;

/** Roughly what it takes for all of them. */
const roomForWords = 1_900_000;

function words({ builder, args, env }: BuilderCommand): string[] {
  return [builder, ...args, ...Array.from(env, ([name, value]) => `${name}=${value}`)];
}

/**
 * Variables whose names no shell can set, as NAME=VALUE. They mean nothing to any program of the host, so that they may pass through
 * one.
 */
export function unsettable({ env }: BuilderCommand): string[] {
  return [...env]
    .filter(([name, value]) => !isSettable(name, value))
    .map(([name, value]) => `${name}=${value}`);
}

/** Why the kernel refuses a builder that is there and may be executed. */
export function refusalOf(command: BuilderCommand): string {
  const total = words(command).reduce((sum, word) => sum + word.length + 9, 0);
  return total > roomForWords ? tooLong : "exec format error";
}

/** Shell commands that export all other variables and leave the builder with its arguments in `"$@"`. */
export function printCommand({ builder, args, env }: BuilderCommand): Buffer {
  const exports = [...env]
    .filter(([name, value]) => isSettable(name, value))
    .map(([name, value]) => `export ${name}=${quote(value)}\n`);
  const quoted = [builder, ...args].map(quote).join(" ");
  return stringToBytes(`umask 022\nulimit -c 0\n${exports.join("")}set -- ${quoted}\n`);
}

/** OPTIND means something to every shell, which takes nothing but a number for it. */
function isSettable(name: string, value: string): boolean {
  if (name === "OPTIND") return /^\d{1,9}$/.test(value);
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

/** A word as a shell reads it. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
