/** What builders may ask for of the machine, where nobody has configured anything else: a shell, and the machine's programs. */
import { existsSync } from "node:fs";

const shell = "/bin/sh";
/** Among the last, distributions that leave the choice of a program to their users have it: `cc` is a link into it. */
const folders = ["/bin", "/lib", "/lib64", "/usr", "/etc/alternatives"];

/** Those of the paths that this machine has. */
export function hostPaths(): string[] {
  return [shell, ...folders].filter((path) => existsSync(path));
}
