/** Where a user's files belong, by the XDG base directory specification. */
import { homedir } from "node:os";
import { join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A base directory of the XDG specification, which ignores relative values. */
export function xdgDirectory(env: Environment, variable: string, below: string): string {
  const named = env[variable];
  const home = env["HOME"] === undefined || env["HOME"] === "" ? homedir() : env["HOME"];
  return named?.startsWith("/") ? named : join(home, below);
}
