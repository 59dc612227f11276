/**
 * Starts `init.sh` in new namespaces and stays with it to its end.
 *
 * Two things end a sandbox with this process, whatever it dies of: its control line ends, and the death signal reaches `unshare`,
 * and through it process 1. One alone would do nearly always; each has a moment or an enemy that the other one has not.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { Duplex, type Readable } from "node:stream";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants } from "node:os";
import { stringToBytes } from "../../util/byte-string.ts";
import { inheritedDescriptors } from "../../util/inherited-descriptors.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { hasOtherFormats } from "../program-format.ts";
import { quote } from "./command.ts";
import { constrain, type Guard } from "./guard.ts";
import { KnownProcess } from "./known-process.ts";
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

export type Ended =
  | { readonly type: "exited"; readonly code: number }
  | { readonly type: "signaled"; readonly signal: string }
  | { readonly type: "notStarted"; readonly reason: Refusal };

/** `missing`: the builder or what interprets it; `forbidden`: it must not be executed; `refused`: the kernel does not take it. */
export type Refusal = "missing" | "forbidden" | "refused";

/** The search path of the tools themselves: what they start in turn. */
const searchPath = "/usr/sbin:/usr/bin:/sbin:/bin";

const initScript = fileURLToPath(new URL("init.sh", import.meta.url));

/** How the last link of `init.sh` says that there is no builder to become. */
const notStarted: Readonly<Record<number, Refusal>> = {
  190: "refused",
  191: "forbidden",
  192: "missing",
};

/**
 * Runs a builder in a sandbox to its end. When this settles, every process of the sandbox is gone.
 *
 * Aborting `signal` asks the builder to end, and after the grace time makes it; the promise then settles all the same.
 *
 * @throws KilnError `sandbox.setup` when the sandbox could not be made, `sandbox.killed` when it was ended from outside
 */
export async function launch(options: Launch, signal: AbortSignal): Promise<Ended> {
  const child = start(options);
  await using sandbox = new RunningSandbox(child, options.grace);
  const stop = (): void => sandbox.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    if (options.network !== undefined && (await sandbox.reached("network"))) {
      await options.network(sandbox.pid);
      sandbox.go();
    }
    return await sandbox.ended();
  } catch (error) {
    if (!signal.aborted) throw error;
    return { type: "signaled", signal: "SIGKILL" };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

class RunningSandbox implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #closed: Promise<unknown>;
  readonly #grace: number;
  readonly #news: string[] = [];
  #newsArrived = Promise.withResolvers<void>();
  #isClosed = false;
  #complaint = "";
  #isStopping = false;
  #isKilled = false;
  #timer: NodeJS.Timeout | undefined;
  /** Process 1. */
  #init: KnownProcess | undefined;

  constructor(child: ChildProcess, grace: number) {
    this.#child = child;
    this.#grace = grace;
    child.on("error", (error) => (this.#complaint = error.message));
    child.once("exit", (_, signal) => {
      if (signal !== null) this.kill(); // it was killed, and what it waited for may live
    });
    const control = child.stdio[3];
    if (!(control instanceof Duplex)) throw setupFailed(this.#complaint);
    this.#control = control;
    this.#control.on("error", () => {}); // the other end may be gone already
    readLines(this.#control, (line) => this.#tell(line));
    child.stderr?.on("data", (chunk: Buffer) => {
      if (this.#complaint.length < 4096) this.#complaint += chunk.toString();
    });
    this.#closed = new Promise<void>((resolve) => {
      child.once("close", () => {
        this.#isClosed = true;
        this.#newsArrived.resolve();
        resolve();
      });
    });
  }

  /** Of a process in the namespaces: `unshare`, which waits for process 1. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves to true when process 1 has said `word`, and to false when it has ended without. */
  async reached(word: string): Promise<boolean> {
    while (!this.#news.includes(word)) {
      if (this.#isClosed) return false;
      await this.#newsArrived.promise;
    }
    return true;
  }

  go(): void {
    this.#control.write("go\n");
  }

  /** Asks the builder to end; makes it after the grace time. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#control.write("end\n");
    if (this.#news.includes("started")) this.#timer = setTimeout(() => this.kill(), this.#grace);
    else this.kill();
  }

  /** Ends every process of the sandbox. */
  kill(): void {
    this.#isKilled = true;
    this.#control.end();
    if (this.#init === undefined) this.#child.kill("SIGKILL");
    else this.#init.kill();
  }

  async ended(): Promise<Ended> {
    await this.#closed;
    const last = /^(exited|signaled) (\d+)$/.exec(this.#news.at(-1) ?? "");
    if (last !== null) return endedBy(last[1] === "signaled", Number(last[2]));
    if (this.#isStopping) return { type: "signaled", signal: "SIGKILL" };
    const wasStarted = this.#news.includes("started");
    if (!wasStarted) throw setupFailed(this.#complaint);
    throw new KilnError("sandbox.killed", "the sandbox was ended from outside", {
      kind: "internal",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) this.kill();
    await this.#closed;
    clearTimeout(this.#timer);
    // The end of `unshare` is the end of process 1, which the kernel ends last, unless `unshare` was killed itself.
    if (this.#child.signalCode !== null) await this.#init?.gone();
  }

  #tell(line: string): void {
    const pid = /^pid (\d+)$/.exec(line)?.[1];
    if (pid !== undefined) {
      this.#init = new KnownProcess(Number(pid));
      // Whoever was killed before it could tell this may have left it behind, and it may wait for ever for what was killed, too.
      if (this.#isKilled) this.#init.kill();
    }
    this.#news.push(line);
    this.#newsArrived.resolve();
    this.#newsArrived = Promise.withResolvers();
  }
}

function start(options: Launch): ChildProcess {
  const { tools, mode, inner, guard, directory } = options;
  const { variables = [] } = options;
  const { program } = tools.shell;
  const last = lastShell(options);
  const [library = "", library2 = ""] = last.libraries;
  const env = {
    PATH: searchPath,
    LC_ALL: "C",
    NODE_V8_COVERAGE: undefined,
    SLOT: directory,
    MODE: mode,
    INNER: inner ? "1" : "0",
    BUILD_UID: String(options.uid),
    BUILD_GID: String(options.gid),
    NETWORK: options.network === undefined ? "0" : "1",
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
    LIMITS: tools.prlimit === undefined ? "" : (options.resourceLimits ?? []).join(" "),
  };
  const user = mode === "user" ? ["--user", "--map-root-user"] : [];
  const namespaces = [...user, "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup"];
  const unshare = [tools.unshare, ...namespaces, "--fork", "--kill-child"];
  const constrained = constrain(tools.setpriv, guard, join(directory, "filter"));
  const words = [...constrained, ...enterCgroups(options), ...unshare, program, initScript];
  return spawnClean(words, { env, output: options.output });
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

function setupFailed(complaint: string): KilnError {
  const reason = complaint.trim() || "no reason was given";
  return new KilnError("sandbox.setup", `the sandbox could not be set up: ${reason}`, {
    kind: "internal",
    hint: "kiln doctor",
  });
}

function endedBy(isSignal: boolean, code: number): Ended {
  if (!isSignal) return { type: "exited", code };
  const refusal = notStarted[code];
  if (refusal !== undefined) return { type: "notStarted", reason: refusal };
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128);
  return { type: "signaled", signal: found?.[0] ?? `SIG${code - 128}` };
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  });
}
