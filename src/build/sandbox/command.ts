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
  return texts.some((text) => text.includes("\0")) ? "invalid argument" : undefined;
}

/**
 * Variables whose names no shell can set, as NAME=VALUE. They mean nothing to any program of the host, so that they may pass through
 * one.
 */
export function unsettable({ env }: BuilderCommand): string[] {
  return [...env].filter(([name]) => !isSettable(name)).map(([name, value]) => `${name}=${value}`);
}

/** Why the kernel refuses a builder that is there. */
export function refusalOf({ builder, args, env }: BuilderCommand): string {
  // What it takes for one string, and roughly what for all of them.
  const sizes = [builder, ...args].map((text) => text.length);
  for (const [name, value] of env) sizes.push(name.length + value.length + 1);
  const total = sizes.reduce((sum, size) => sum + size + 9, 0);
  const isTooLong = sizes.some((size) => size >= 131_071) || total > 1_900_000;
  return isTooLong ? "argument list too long" : "permission denied";
}

/** Shell commands that export all other variables and leave the builder with its arguments in `"$@"`. */
export function printCommand({ builder, args, env }: BuilderCommand): Buffer {
  const exports = [...env]
    .filter(([name]) => isSettable(name))
    .map(([name, value]) => `export ${name}=${quote(value)}\n`);
  const words = [builder, ...args].map(quote).join(" ");
  return stringToBytes(`umask 022\nulimit -c 0\n${exports.join("")}set -- ${words}\n`);
}

function isSettable(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
