/** What helps a builder that does not find in its sandbox what this machine has. */
import { existsSync } from "node:fs";
import { posix } from "node:path";
import type { BuildOutcome, BuildTask } from "../executor.ts";
import { hostFileOf, linkLostAt } from "./builder-file.ts";
import type { ResolvedPath } from "./layout.ts";
import { isBelow, type SandboxPath } from "./paths.ts";
import { interpreterOf } from "./program-files.ts";

/** What a shell exits with when it does not find a command. */
const commandNotFound = 127;

/** Where programs of this machine look for libraries. */
const libraryFolders = ["/lib", "/lib64", "/usr"];

/** Where its programs are. */
const programFolders = ["/bin", "/usr", "/usr/bin"];

/** What a builder had of the machine, and said. */
export interface Circumstances {
  readonly shown: readonly ResolvedPath[];
  /** What derivations may ask for. */
  readonly offered?: readonly SandboxPath[] | undefined;
  /** The end of its log. */
  readonly said: string;
  readonly network: boolean;
}

/** What programs and resolvers say that do not find a host, or no way to it. */
const unreached =
  /could(?: not|n't) resolve|unable to resolve|(?:name|node).{0,40} not known|(?:failure|fail(?:ed)?|error) in name resolution|network is unreachable|no such host|bad address '|\b(?:EAI_AGAIN|ENETUNREACH|ENOTFOUND)\b/i;

/** A builder that failed as one does that lacks what its sandbox has not. */
export function withRemedy(
  outcome: BuildOutcome,
  task: Pick<BuildTask, "derivation" | "systemDeps" | "env">,
  circumstances: Circumstances,
): BuildOutcome {
  if (outcome.type !== "exited" || outcome.code === 0) return outcome;
  const { said, network } = circumstances;
  const lost = lostProgram(task, circumstances);
  if (lost !== undefined) return { ...outcome, remedy: lost };
  if (outcome.code === commandNotFound) return { ...outcome, remedy: missingProgram(task) };
  if (!unreached.test(said)) return outcome;
  const remedy = network
    ? "with network: true a builder reaches others by the proxy that http_proxy names, and by nothing else"
    : "builders have no network; fetchUrl() fetches files by their hashes, installed() takes npm packages, and network: true lets this one";
  return { ...outcome, remedy };
}

function missingProgram({
  derivation,
  systemDeps,
}: Pick<BuildTask, "derivation" | "systemDeps">): string {
  const path = 'env: { PATH: "/bin:/usr/bin" }';
  const isSearched = derivation.env.has("PATH");
  if (!isSearched && programFolders.some((folder) => systemDeps.includes(folder))) {
    return `a program is missing? No PATH is set; add ${path}`;
  }
  const remedy =
    'a program is missing? In a sandbox they come by inputs or systemDeps, as systemDeps: ["/bin", "/lib", "/lib64", "/usr"]';
  return isSearched ? remedy : `${remedy}, and are found by ${path}`;
}

/** A program that is there, but as a link to what is not. */
function lostProgram(
  { env }: Pick<BuildTask, "env">,
  { said, ...circumstances }: Circumstances,
): string | undefined {
  const told = said.matchAll(
    /([^\s:'"`]+)['"]?: (?:(?:command )?not found|No such file or directory)$/gm,
  );
  const [, program] = [...told].at(-1) ?? [];
  if (program === undefined) return undefined;
  const folders = program.startsWith("/") ? [""] : (env.get("PATH") ?? "").split(":");
  for (const folder of folders) {
    const remedy = lostLink(posix.join("/", folder, program), circumstances);
    if (remedy !== undefined) return remedy;
  }
  return undefined;
}

/** What helps where links of the host lead out of what a sandbox shows. */
export function lostLink(
  path: string,
  { shown, offered = [] }: Pick<Circumstances, "shown" | "offered">,
): string | undefined {
  const lost = linkLostAt(path, shown);
  if (lost === undefined || !existsSync(lost)) return undefined;
  const around = offered.find(({ inside }) => lost === inside || isBelow(lost, inside));
  const asked = around?.inside ?? posix.dirname(lost);
  const offer =
    around === undefined ? `, and have it offered: kiln serve --sandbox-path=${asked}` : "";
  return `${path} leads to ${lost}, which the sandbox lacks; add ${quoted([asked])} to systemDeps${offer}`;
}

/**
 * A builder that is in the sandbox, where what the kernel runs it with is not: the loader of a program, the interpreter of a script.
 * `file` is the builder on this machine.
 */
export function withMissingInterpreter(
  outcome: BuildOutcome,
  file: string,
  { shown, offered = [] }: Pick<Circumstances, "shown" | "offered">,
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
