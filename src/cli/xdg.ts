/** Where a user's files belong, by the XDG base directory specification. */
import { homedir } from "node:os";
import { join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A base directory of the XDG specification, which ignores relative values. */
export function xdgDirectory(env: Environment, variable: string, below: string): string {
  const named = env[variable];
  return named?.startsWith("/") ? named : join(homeOf(env), below);
}

/** The user's home folder; one where nothing is found for a user whom the machine does not know, as in some services. */
export function homeOf(env: Environment): string {
  const named = env["HOME"];
  if (named !== undefined && named !== "") return named;
  try {
    return homedir();
  } catch {
    return "/var/empty";
  }
}
