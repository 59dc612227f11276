/** What helps a builder that does not find in its sandbox what this machine has. */
import { existsSync } from "node:fs";
import type { BuildOutcome, BuildTask } from "../executor.ts";
import { hostFileOf } from "./builder-file.ts";
import type { ResolvedPath } from "./layout.ts";
import { isBelow, type SandboxPath } from "./paths.ts";
import { interpreterOf } from "./program-files.ts";

/** What a shell exits with when it does not find a command. */
const commandNotFound = 127;

/** Where programs of this machine look for libraries. */
const libraryFolders = ["/lib", "/lib64", "/usr"];

/** Where its programs are. */
const programFolders = ["/bin", "/usr", "/usr/bin"];

/** A builder that exits as a shell does that does not find a command. */
export function withMissingProgram(
  outcome: BuildOutcome,
  { derivation, systemDeps }: Pick<BuildTask, "derivation" | "systemDeps">,
): BuildOutcome {
  if (outcome.type !== "exited" || outcome.code !== commandNotFound) return outcome;
  const path = 'env: { PATH: "/bin:/usr/bin" }';
  const isSearched = derivation.env.has("PATH");
  if (!isSearched && programFolders.some((folder) => systemDeps.includes(folder))) {
    return { ...outcome, remedy: `a program is missing? No PATH is set; add ${path}` };
  }
  const remedy =
    'a program is missing? In a sandbox they come by inputs or systemDeps, as systemDeps: ["/bin", "/lib", "/lib64", "/usr"]';
  return { ...outcome, remedy: isSearched ? remedy : `${remedy}, and are found by ${path}` };
}

/**
 * A builder that is in the sandbox, where what the kernel runs it with is not: the loader of a program, the interpreter of a script.
 * `file` is the builder on this machine.
 */
export function withMissingInterpreter(
  outcome: BuildOutcome,
  file: string,
  {
    shown,
    offered = [],
  }: { shown: readonly ResolvedPath[]; offered?: readonly SandboxPath[] | undefined },
): BuildOutcome {
  const interpreter = interpreterOf(file);
  if (outcome.type !== "notStarted" || interpreter === undefined) return outcome;
  if (!existsSync(interpreter) || hostFileOf(interpreter, shown) !== undefined) return outcome;
  const inside = offered.map((path) => path.inside);
  const hasIt = (path: string): boolean => path === interpreter || isBelow(interpreter, path);
  const asked = inside.some(hasIt)
    ? inside.filter((path) => hasIt(path) || libraryFolders.includes(path))
    : [interpreter];
  const offer = inside.some(hasIt)
    ? ""
    : `, and have it offered: kiln serve --sandbox-path=${interpreter}`;
  const remedy = `it runs by ${interpreter}, which the sandbox lacks; add ${quoted(asked)} to systemDeps${offer}`;
  return { ...outcome, remedy };
}

/** A builder that is not in the sandbox, and may be on this machine; `offered` is what derivations may ask for. */
export function withHiddenBuilder(
  outcome: BuildOutcome,
  builder: string,
  offered: readonly SandboxPath[] = [],
): BuildOutcome {
  if (outcome.type !== "notStarted" || !existsSync(builder)) return outcome;
  const inside = offered.map((path) => path.inside);
  const around = inside.filter((path) => isBelow(builder, path));
  const isOffered = inside.includes(builder);
  const asked =
    isOffered || around.length === 0
      ? [builder]
      : inside.filter((path) => around.includes(path) || libraryFolders.includes(path));
  const remedy = `the sandbox lacks it; add systemDeps: [${quoted(asked)}] to the derivation`;
  const offer = `, and have it offered: kiln serve --sandbox-path=${builder}`;
  return { ...outcome, remedy: isOffered || around.length > 0 ? remedy : `${remedy}${offer}` };
}

function quoted(paths: readonly string[]): string {
  return paths.map((path) => JSON.stringify(path)).join(", ");
}
