/** Has `init.pl` make a sandbox or, without perl, starts `init.sh` in new namespaces: what it is told, and all that comes before it. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { stringToBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { Fifo } from "../fifo-pool.ts";
import { hasOtherFormats } from "../program-format.ts";
import { canStart, readLines, spawnClean, Starter } from "../starter.ts";
import { type BuilderCommand, printCommand, quote } from "./command.ts";
import { type Mount, printFstab } from "./fstab.ts";
import { constrain, type Guard } from "./guard.ts";
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
  /** What is to be mounted, in this order. */
  readonly mounts: readonly Mount[];
  readonly command: BuilderCommand;
  /** The builder's ids outside; both 0 for a plain user. */
  readonly uid: number;
  readonly gid: number;
  /** Where the builder's words go: to be kept open until `onStarted`. */
  readonly output: Pick<Fifo, "path" | "writeEnd">;
  /** Called when the builder has `output`, or never will. */
  readonly onStarted: () => void;
  /** Makes the sandbox; undefined where the shell does: see {@link starterFor}. */
  readonly starter: Starter | undefined;
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

/** What waits for the process 1 of a sandbox. Its end, too, is the end of the sandbox. */
export interface Keeper {
  /** Says a line to process 1. */
  order(line: string): void;
  /** Calls back when all that process 1 has said before now was heard; never when all is over first. */
  catchUp(then: () => void): void;
  /** Has no more to say, which ends the sandbox. */
  release(): void;
  /** Ends process 1, or what waits for it. */
  kill(): void;
}

/** Who hears from a {@link Keeper}. */
export interface News {
  /** What process 1 says. */
  line(text: string): void;
  /** Why there is no sandbox, for people. */
  complaint(text: string): void;
  /** What waited for process 1 was ended by somebody. */
  orphaned(): void;
  /** All is over, but perhaps for an orphan. */
  closed(): void;
}

/** @throws KilnError `sandbox.setup`, `sandbox.variable` */
export function startSandbox(options: Launch, news: News): Keeper {
  const { starter } = options;
  return starter === undefined ? keepShell(options, news) : keepPerl(starter, options, news);
}

/** The perl that makes the sandbox, if one can: quicker than ten programs is one process that makes the system calls itself. */
export function perlFor({ guard, inner }: Pick<Launch, "guard" | "inner">): Guard | undefined {
  return guard?.by === "perl" && inner && canStart() ? guard : undefined;
}

/**
 * What {@link startSandbox} needs of what was found out about this machine.
 *
 * @param directory where the directories of builds are: processes can be told by it
 */
export function starterFor(
  how: Pick<Launch, "guard" | "inner">,
  directory: string,
): Starter | undefined {
  const perl = perlFor(how);
  return perl && new Starter(perl.program, [initFiles.perl], { SLOT: `${directory}/` });
}

function keepPerl(
  starter: Starter,
  { directory, mounts, command, output, mode, uid, gid, network, ...options }: Launch,
  news: News,
): Keeper {
  const { cgroups = [] } = options;
  const variables = Array.from(command.env, ([name, value]) => `${name}=${value}`);
  const told = {
    SLOT: directory,
    MOUNTS: printFstab(mounts),
    OUTPUT: output.path,
    MODE: mode,
    BUILD_UID: String(uid),
    BUILD_GID: String(gid),
    NETWORK: network === undefined ? "" : "1",
    CGROUPS: cgroups.map((file) => `${file}\n`).join(""),
    LIMITS: limitsOf(options),
  };
  const lists = [[command.builder, ...command.args], variables];
  let onHeard: (() => void) | undefined;
  const words = lists.flatMap((list) => [String(list.length), ...list]);
  const order = starter.begin("sandbox", [...words, ...Object.entries(told).flat()], (text) => {
    if (text === "heard") {
      onHeard?.();
      return;
    }
    const [, word, rest = ""] = /^(complaint|closed) (.*)$/.exec(text) ?? [];
    if (word === "complaint") news.complaint(rest);
    else if (word === undefined) news.line(text);
    else {
      if (rest !== "0") news.orphaned();
      news.closed();
    }
  });
  return {
    order: (line) => order("line", line),
    catchUp: (then) => {
      onHeard = then;
      order("hear");
    },
    release: () => order("release"),
    kill: () => order("kill"),
  };
}

function keepShell(options: Launch, news: News): Keeper {
  writeForShell(options);
  const { words, env } = byShell(options);
  const [file = "", ...args] = words;
  const child = spawnClean(file, args, env, [options.output.writeEnd, "pipe"]);
  child.on("error", (error) => news.complaint(error.message));
  child.once("exit", (_, signal) => {
    if (signal !== null) news.orphaned();
  });
  child.once("close", () => news.closed());
  child.stderr?.on("data", (chunk: Buffer) => news.complaint(chunk.toString()));
  const control = child.stdio[3];
  if (!(control instanceof Duplex)) {
    throw new KilnError(
      "sandbox.setup",
      `the sandbox could not be set up: ${file} cannot be started`,
      {
        kind: "internal",
        hint: "kiln doctor",
      },
    );
  }
  control.on("error", () => {}); // the other end may be gone already
  readLines(control, (text) => news.line(text));
  return {
    order: (line) => control.write(`${line}\n`),
    // It has come, though perhaps not been read yet.
    catchUp: (then) => void setImmediate(then),
    release: () => control.end(),
    kill: () => child.kill("SIGKILL"),
  };
}

interface Start {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function byShell(options: Launch): Start {
  const { tools, mode, inner, guard, directory, uid, gid, network } = options;
  const { variables = [] } = options;
  const { program } = tools.shell;
  const last = lastShell(options);
  const [library = "", library2 = ""] = last.libraries;
  const env = {
    PATH: searchPath,
    LC_ALL: "C",
    SLOT: directory,
    MODE: mode,
    BUILD_UID: String(uid),
    BUILD_GID: String(gid),
    NETWORK: network === undefined ? "0" : "1",
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

function writeForShell({ directory, mounts, command }: Launch): void {
  writeFileSync(join(directory, "fstab"), stringToBytes(printFstab(mounts)), { mode: 0o600 });
  const commandFile = join(directory, "command");
  writeFileSync(commandFile, printCommand(command));
  chmodSync(commandFile, 0o644); // the builder's own shell reads it
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
