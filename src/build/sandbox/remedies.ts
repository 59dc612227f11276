/** What helps a builder that does not find in its sandbox what this machine has. */
import { existsSync } from "node:fs";
import type { BuildOutcome } from "../executor.ts";
import { isBelow, type SandboxPath } from "./paths.ts";

/** What a shell exits with when it does not find a command. */
const commandNotFound = 127;

/** Where programs of this machine look for libraries. */
const libraryFolders = ["/lib", "/lib64", "/usr"];

/** A builder that exits as a shell does that does not find a command. */
export function withMissingProgram(outcome: BuildOutcome): BuildOutcome {
  if (outcome.type !== "exited" || outcome.code !== commandNotFound) return outcome;
  const remedy =
    'a program is missing? In a sandbox they come by inputs or systemDeps, as systemDeps: ["/bin", "/lib", "/lib64", "/usr"]';
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
  const list = `[${asked.map((path) => JSON.stringify(path)).join(", ")}]`;
  const remedy = `the sandbox lacks it; add systemDeps: ${list} to the derivation`;
  const offer = `, and have it offered: kiln serve --sandbox-path=${builder}`;
  return { ...outcome, remedy: isOffered || around.length > 0 ? remedy : `${remedy}${offer}` };
}
