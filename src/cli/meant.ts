/** What was probably meant by an operand that names no file: a target of the build file of this folder. */
import { existsSync } from "node:fs";
import { evaluate, type EvaluateOptions } from "../author/evaluate.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { list, nearest } from "./text.ts";

/** `fault`, which the evaluation of `file` ended with, or one that tells more. */
export async function withTargetMeant(
  fault: unknown,
  file: string,
  options: Omit<EvaluateOptions, "file" | "targets">,
): Promise<unknown> {
  if (!hasCode(fault, "file.missing") || existsSync(file)) return fault;
  const hint = await hintFor(file, options);
  return new KilnError(fault.code, fault.message, { path: file, hint, cause: fault });
}

async function hintFor(
  file: string,
  options: Omit<EvaluateOptions, "file" | "targets">,
): Promise<string> {
  if (/^(?:true|false|relaxed|auto)$/.test(file)) {
    return `the value of a switch follows "=", as in --sandbox=${file}`;
  }
  const withEnding = `${file}.ts`;
  if (existsSync(withEnding)) return withEnding;
  let names;
  try {
    // Values for parameters of the targets that were meant are none of this listing's.
    await using evaluation = await evaluate({ ...options, args: {}, file: ".", targets: [] });
    names = evaluation.targets().map(({ name }) => name);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (hasCode(error, "file.missing")) return "kiln init writes a build file";
    return "name a build file or its folder";
  }
  const tops = names.filter((name) => name !== "" && !name.startsWith("/"));
  const meant = names.includes(file) ? file : nearest(file, tops);
  if (meant !== undefined) return `.#${meant}`;
  const named = tops.filter((name) => !name.includes("/"));
  const targets = named.length === 0 ? "" : `; the targets here are ${list(named, 12)}`;
  return `name a build file or its folder${targets}`;
}
