/** What a derivation asks of the machine and the store before its builder can be run. */
import { lstatSync } from "node:fs";
import type { Derivation } from "../format/derivation/derivation.ts";
import type { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";
import { canBuildFor } from "./system.ts";

const systemDepsVariable = "__buildSystemDeps";

/** The host paths that a derivation asks for. */
export function systemDepsOf(env: ReadonlyMap<string, string>): string[] {
  return (env.get(systemDepsVariable) ?? "").split(/\s+/).filter((word) => word !== "");
}

/**
 * Checks that this machine can run the builder and has what it asks for. `placeholders` are those that its texts may contain.
 *
 * @throws KilnError of kind `internal`: `build.system`, `build.systemDeps`, `store.missing`
 */
export function checkRequirements(
  { system, env, inputSources }: Derivation,
  placeholders: readonly string[],
  machine: {
    readonly host: string;
    readonly sandboxPaths: ReadonlySet<string>;
    readonly store: Store;
  },
): void {
  const { host, sandboxPaths, store } = machine;
  if (!canBuildFor(system, host)) {
    throw refuse("build.system", `a ${system} system is required, but host is a ${host} system`);
  }
  const deps = env.get(systemDepsVariable) ?? "";
  if (placeholders.some((placeholder) => deps.includes(placeholder))) {
    throw refuse("build.systemDeps", `${systemDepsVariable} contains placeholders`);
  }
  for (const path of systemDepsOf(env)) {
    if (sandboxPaths.has(path)) continue;
    throw refuse(
      "build.systemDeps",
      `system dependency ${path} is not available here: ${remedyFor(path, [...sandboxPaths])}`,
    );
  }
  for (const source of inputSources) {
    const file = store.realPath(source);
    if (store.has(source) && lstatSync(file, { throwIfNoEntry: false }) !== undefined) continue;
    throw refuse("store.missing", `input ${source} is not in the store`);
  }
}

/** What a derivation may ask for instead, and what makes that more: daemons and embedded stores offer different things. */
function remedyFor(path: string, offered: readonly string[]): string {
  const available =
    offered.length === 0
      ? "a daemon offers only what it is told"
      : `available: ${offered.join(", ")}`;
  const around = offered.find((folder) => path.startsWith(`${folder}/`));
  const offer = `kiln serve --sandbox-path=${path} offers it`;
  return around === undefined
    ? `${available}; ${offer}`
    : `name ${around}, which has it, or ${offer} by itself; ${available}`;
}

function refuse(code: string, message: string): KilnError {
  return new KilnError(code, message, { kind: "internal" });
}
