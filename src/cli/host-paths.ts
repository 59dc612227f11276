/** What builders may ask for of the machine, where nobody has configured anything else: a shell, and the machine's programs. */
import { existsSync } from "node:fs";

const shell = "/bin/sh";
const folders = ["/bin", "/lib", "/lib64", "/usr"];

/** Those of the paths that this machine has. */
export function hostPaths(): string[] {
  return [shell, ...folders].filter((path) => existsSync(path));
}
