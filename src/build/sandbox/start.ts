/** Starts `init.pl` or, without perl, `init.sh` in new namespaces: what it is told, and all that comes before it. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringToBytes } from "../../util/byte-string.ts";
import { inheritedDescriptors } from "../../util/inherited-descriptors.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { hasOtherFormats } from "../program-format.ts";
import { type BuilderCommand, listWords, printCommand, quote } from "./command.ts";
import { callNumbers, constrain, constrainPerl, type Guard } from "./guard.ts";
import type { ShellImage, Tools } from "./tools.ts";

/** Who makes the namespaces. `root` is that of the host; a plain user is root of a user namespace meanwhile. */
export type Mode = "root" | "user";

export interface Launch {
  readonly tools: Tools;
  readonly mode: Mode;
  /** Whether the builder gets a user namespace of its own. */
  readonly inner: boolean;
  /** What filters its system calls, if anything does. */
  readonly guard: Guard | undefined;
  /** The directory of this build: see `init.sh`. */
  readonly directory: string;
  /** The builder's ids outside; both 0 for a plain user. */
  readonly uid: number;
  readonly gid: number;
  /** Where the builder's words go: a descriptor. */
  readonly output: number;
  /** Sees to the network: called with a process that is in the build's namespaces, before anything else happens in them. */
  readonly network?: ((pid: number) => Promise<void>) | undefined;
  /** `cgroup.procs` files to be entered. */
  readonly cgroups?: readonly string[];
  /** Options for `prlimit`. */
  readonly resourceLimits?: readonly string[];
  /** Variables for the builder that no shell can set: `NAME=VALUE`, as byte strings. */
  readonly variables?: readonly string[] | undefined;
  /** Whether the builder is known to be a program of this machine's, so that nobody need look. */
  readonly isProgram?: boolean;
  /** Milliseconds between SIGTERM and SIGKILL when the build is cancelled. */
  readonly grace: number;
}

/** The search path of the tools themselves: what they start in turn. */
const searchPath = "/usr/sbin:/usr/bin:/sbin:/bin";

const initFiles = {
  perl: fileURLToPath(new URL("init.pl", import.meta.url)),
  shell: fileURLToPath(new URL("init.sh", import.meta.url)),
};

/** What the file `command` in the directory of a build is to hold for {@link startSandbox}. */
export function commandFor(how: Pick<Launch, "guard" | "inner">, command: BuilderCommand): Buffer {
  return perlFor(how) === undefined ? printCommand(command) : listWords(command);
}

/** The child waits for process 1; its descriptor 3 is the line to that. */
export function startSandbox(options: Launch): ChildProcess {
  const perl = perlFor(options);
  const own = perl === undefined ? byShell(options) : byPerl(perl, options);
  const env = {
    PATH: searchPath,
    LC_ALL: "C",
    NODE_V8_COVERAGE: undefined,
    SLOT: options.directory,
    MODE: options.mode,
    BUILD_UID: String(options.uid),
    BUILD_GID: String(options.gid),
    NETWORK: options.network === undefined ? "0" : "1",
    ...own.env,
  };
  return spawnClean(own.words, { env, output: options.output });
}

interface Start {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The perl that makes the sandbox, if one can: quicker than ten programs is one process that makes the system calls itself. */
export function perlFor({ guard, inner }: Pick<Launch, "guard" | "inner">): Guard | undefined {
  return guard?.by === "perl" && inner ? guard : undefined;
}

function byPerl(guard: Guard, { directory, cgroups = [], ...options }: Launch): Start {
  const calls = Object.entries(callNumbers());
  return {
    words: constrainPerl(guard, join(directory, "filter"), initFiles.perl),
    env: {
      CGROUPS: cgroups.map((file) => `${file}\n`).join(""),
      LIMITS: limitsOf(options),
      CALLS: calls.flat().join(" "),
    },
  };
}

function byShell(options: Launch): Start {
  const { tools, mode, inner, guard, directory } = options;
  const { variables = [] } = options;
  const { program } = tools.shell;
  const last = lastShell(options);
  const [library = "", library2 = ""] = last.libraries;
  const env = {
    INNER: inner ? "1" : "0",
    LAST: last.program,
    LAST_OPTIONS: last === tools.shell ? "" : "-p",
    VARIABLES: variables.length === 0 ? "" : writeVariables(directory, variables),
    CHECK: options.isProgram === true || hasOtherFormats() ? "0" : "1",
    LOADER: last.loader ?? "",
    LIBRARY: library,
    LIBRARY2: library2,
    SH: program,
    MOUNT: tools.mount,
    IP: tools.ip ?? "",
    HOSTNAME: tools.hostname ?? "",
    SETPRIV: tools.setpriv,
    NSENTER: tools.nsenter,
    UNSHARE: tools.unshare,
    PRLIMIT: tools.prlimit ?? "",
    LIMITS: limitsOf(options),
  };
  const user = mode === "user" ? ["--user", "--map-root-user"] : [];
  const namespaces = [...user, "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup"];
  const unshare = [tools.unshare, ...namespaces, "--fork", "--kill-child"];
  const constrained = constrain(tools.setpriv, guard, join(directory, "filter"));
  const words = [...constrained, ...enterCgroups(options), ...unshare, program, initFiles.shell];
  return { words, env };
}

/** What was found missing here is missing for both ways. */
function limitsOf({
  tools,
  resourceLimits = [],
}: Pick<Launch, "tools" | "resourceLimits">): string {
  return tools.prlimit === undefined ? "" : resourceLimits.join(" ");
}

/** The shell that becomes the builder. Only bash passes on variables that it could not set itself. */
function lastShell({ tools, variables = [] }: Launch): ShellImage {
  if (variables.length === 0) return tools.shell;
  if (tools.bash !== undefined) return tools.bash;
  const name = JSON.stringify(variables[0]?.split("=")[0]);
  throw new KilnError("sandbox.variable", `no shell can set a variable called ${name}`, {
    kind: "internal",
    hint: "install bash, which can pass it on",
  });
}

/** In a file, because they are bytes. */
function writeVariables(directory: string, variables: readonly string[]): string {
  const file = join(directory, "variables");
  const words = ["set", "--", ...variables.map(quote)];
  writeFileSync(file, stringToBytes(`${words.join(" ")}\n`), { mode: 0o600 });
  return file;
}

/** The build's control groups must be entered before its cgroup namespace is made, and by nobody later than its first process. */
function enterCgroups({ tools, cgroups = [] }: Launch): string[] {
  if (cgroups.length === 0) return [];
  const script = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift; exec "$@"';
  return [tools.shell.program, "-c", script, "sh", ...cgroups, "--"];
}

/** Found once: what this process opens itself is never passed on. */
let inherited: readonly number[] | undefined;

function spawnClean(
  [file = "", ...args]: readonly string[],
  { env, output }: { env: NodeJS.ProcessEnv; output: number },
): ChildProcess {
  // What this process was given without having asked for it must not reach a builder.
  inherited ??= inheritedDescriptors();
  const stdio: (number | "ignore" | "pipe")[] = ["ignore", output, "pipe", "pipe"];
  const nothing = openSync("/dev/null", "r");
  try {
    for (const fd of inherited.filter((number) => number > 3)) {
      while (stdio.length < fd) stdio.push("ignore");
      stdio[fd] = nothing;
    }
    return spawn(file, args, { cwd: "/", detached: true, env, stdio });
  } finally {
    closeSync(nothing);
  }
}
