/** Programs of the host that set sandboxes up: util-linux, a shell, and where they are installed `ip` and `hostname`. */
import { execFile } from "node:child_process";
import { basename } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../builtins/extract/program.ts";
import type { Guard } from "./guard.ts";

export interface Tools {
  readonly unshare: string;
  readonly mount: string;
  readonly umount: string;
  readonly setpriv: string;
  readonly nsenter: string;
  readonly prlimit: string | undefined;
  /** Brings the loopback interface up. */
  readonly ip: string | undefined;
  readonly hostname: string | undefined;
  readonly shell: ShellImage;
  /** For builders with variables that no other shell passes on. */
  readonly bash: ShellImage | undefined;
  /** Programs that may be able to filter system calls, best first. */
  readonly guards: readonly Guard[];
}

/** A shell and the files it consists of: it is started once more from open descriptors, where no file of the host exists. */
export interface ShellImage {
  readonly program: string;
  /** The dynamic loader; undefined for a static program. */
  readonly loader: string | undefined;
  readonly libraries: readonly string[];
}

/** The package each program is in, where its name differs. */
const packages: Readonly<Record<string, string>> = { sh: "dash", mkfifo: "coreutils" };

/** How many libraries a shell may need: it gets them through descriptors of one digit. */
const maxLibraries = 2;

/** Tools, or which are missing: `unshare (util-linux)`. */
export async function findTools(
  searchPath: string,
): Promise<{ readonly tools: Tools } | { readonly missing: readonly string[] }> {
  const find = (name: string): string | undefined => findProgram(name, searchPath);
  const needed = ["unshare", "mount", "umount", "setpriv", "nsenter"] as const;
  const [unshare, mount, umount, setpriv, nsenter] = needed.map(find);
  // dash if there is one, as it is small and quick.
  const shell = await findShell(["dash", "sh"], find);
  const missing = Object.entries({
    unshare,
    mount,
    umount,
    setpriv,
    nsenter,
    sh: shell,
    mkfifo: find("mkfifo"),
  })
    .filter(([, found]) => found === undefined)
    .map(([name]) => `${name} (${packages[name] ?? "util-linux"})`);
  if (!unshare || !mount || !umount || !setpriv || !nsenter || !shell || missing.length > 0)
    return { missing };
  const bash = await findShell(["bash"], find);
  const [prlimit, ip, hostname, perl] = ["prlimit", "ip", "hostname", "perl"].map(find);
  const guards: Guard[] = [{ by: "setpriv", program: setpriv }];
  if (perl !== undefined) guards.unshift({ by: "perl", program: perl });
  return {
    tools: { unshare, mount, umount, setpriv, nsenter, prlimit, ip, hostname, shell, bash, guards },
  };
}

/** The first shell of these names that can be started from descriptors. */
async function findShell(
  names: readonly string[],
  find: (name: string) => string | undefined,
): Promise<ShellImage | undefined> {
  for (const name of names) {
    const program = find(name);
    const image = program === undefined ? undefined : await imageOf(program);
    if (image !== undefined && isUsable(image)) return image;
  }
  return undefined;
}

/** A program of many names cannot tell from a descriptor which one it is to be. */
function isUsable({ program, libraries }: ShellImage): boolean {
  return libraries.length <= maxLibraries && !basename(program).startsWith("busybox");
}

/** Lets the shell itself tell what it consists of: the executable files in its memory. */
async function imageOf(program: string): Promise<ShellImage | undefined> {
  try {
    const script = 'while read -r line; do echo "$line"; done </proc/$$/maps';
    const { stdout } = await promisify(execFile)(program, ["-c", script], { env: {} });
    return parseMaps(program, stdout);
  } catch {
    return undefined;
  }
}

/** `maps`: as /proc gives it for a running program. */
export function parseMaps(program: string, maps: string): ShellImage {
  const mapped = maps.matchAll(/^\S+ ..x. \S+ \S+ \S+ +(\/.*)$/gm);
  const files = [...new Set(Array.from(mapped, ([, path = ""]) => path))];
  const loader = files.find((path) => /^ld(?:64)?[-.]/.test(basename(path)));
  const [own, ...libraries] = files.filter((path) => path !== loader);
  return { program: own ?? program, loader, libraries };
}
