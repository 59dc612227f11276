/**
 * A world of its own for a test: mount and network namespaces with an empty `/opt`, in which daemons and clients run
 * without seeing or touching the machine's store. The test itself stays outside; sockets and files in the temporary
 * folder are shared, `/opt` inside is reached through {@link World.path}.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The checkout's command, built. */
export const kilnProgram: string = join(root, "bin", "kiln");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: Buffer | string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Killed after this many milliseconds; default 120,000. */
  readonly timeout?: number;
}

const enter = ["--mount", "--net"];

/** Why worlds cannot be had here, or false. For `test(name, { skip: needsWorld }, …)`. */
export const needsWorld: string | false = (() => {
  const tried = spawnSync("unshare", [...unshareFlags(), "true"], { encoding: "utf8" });
  if (tried.error) return `unshare (util-linux) is missing: ${tried.error.message}`;
  return tried.status === 0 ? false : `namespaces are refused here: ${tried.stderr.trim()}`;
})();

function unshareFlags(): string[] {
  return [
    ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
    ...enter,
    "--propagation=private",
  ];
}

export class World implements AsyncDisposable {
  /** A folder of this world's own, outside `/opt`, visible inside and outside. */
  readonly directory: string;
  readonly #holder: ChildProcess;
  readonly #running = new Set<ChildProcess>();

  private constructor(directory: string, holder: ChildProcess) {
    this.directory = directory;
    this.#holder = holder;
  }

  static async open(): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), "kiln-world-"));
    // The holder keeps the namespaces until its standard input ends, so they go when the test process does.
    const holder = spawn(
      "unshare",
      [
        ...unshareFlags(),
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /opt && { ip link set lo up || :; } && echo ready && exec cat",
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const [first] = (await Promise.race([
      once(holder.stdout, "data"),
      once(holder, "exit").then(() => [Buffer.from("")]),
    ])) as [Buffer];
    if (!first.toString().startsWith("ready")) {
      rmSync(directory, { recursive: true });
      throw new Error("the namespaces of a test world could not be made");
    }
    return new World(directory, holder);
  }

  /** Where `/opt/…` of this world is seen from outside. */
  path(inside: string): string {
    return `/proc/${this.#holder.pid}/root${inside}`;
  }

  /** Starts a program inside; its pid is the program's own. It dies with the test process. */
  spawn(
    program: string,
    args: readonly string[],
    options: RunOptions & { readonly stdio?: "pipe" } = {},
  ): ChildProcess {
    const user = process.getuid?.() === 0 ? [] : ["--user", "--preserve-credentials"];
    const child = spawn(
      "setpriv",
      [
        "--pdeathsig=KILL",
        "--",
        "nsenter",
        `--target=${this.#holder.pid}`,
        ...user,
        ...enter,
        `--wdns=${options.cwd ?? this.directory}`,
        "--",
        program,
        ...args,
      ],
      {
        stdio: ["pipe", "pipe", "pipe"],
        env: {
          PATH: process.env["PATH"],
          HOME: this.directory,
          TMPDIR: this.directory,
          XDG_CACHE_HOME: join(this.directory, "cache"),
          ...options.env,
        },
      },
    );
    this.#running.add(child);
    child.once("exit", () => this.#running.delete(child));
    child.stdin.on("error", () => {}); // a program may end without reading its input
    return child;
  }

  /** Runs a program inside to its end. */
  async run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const child = this.spawn(program, args, options);
    child.stdin!.end(options.input);
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeout ?? 120_000);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout!.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr!.on("data", (chunk: Buffer) => err.push(chunk));
    const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    return { code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
  }

  /** Starts a daemon (`kiln serve` or `zb serve` with the same flags) and waits until its socket answers. */
  async serve(
    program: string,
    flags: readonly string[] = [],
    options: RunOptions & { name?: string } = {},
  ): Promise<Daemon> {
    const name = options.name ?? "serve";
    const socket = join(this.directory, `${name}.sock`);
    const child = this.spawn(
      program,
      [
        "serve",
        `--store-socket=${socket}`,
        `--db=${join(this.directory, `${name}.db`)}`,
        `--log-directory=${join(this.directory, `${name}.log`)}`,
        ...flags,
      ],
      options,
    );
    let log = "";
    const collect = (chunk: Buffer): void => {
      log += chunk.toString();
    };
    child.stdout!.on("data", collect);
    child.stderr!.on("data", collect);
    const daemon: Daemon = {
      socket,
      process: child,
      log: () => log,
      stop: async () => {
        if (child.exitCode === null && child.signalCode === null) {
          child.kill("SIGTERM");
          await once(child, "exit");
        }
        return child.exitCode;
      },
    };
    for (let tries = 0; !(await answers(socket)); tries++) {
      if (child.exitCode !== null || child.signalCode !== null || tries > 3000) {
        child.kill("SIGKILL");
        throw new Error(`${program} serve did not start:\n${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return daemon;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exits = [...this.#running].map(async (child) => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    });
    await Promise.all(exits);
    const gone = once(this.#holder, "exit");
    this.#holder.stdin!.end();
    await gone;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Daemon {
  readonly socket: string;
  readonly process: ChildProcess;
  /** What it has written so far, both streams. */
  log(): string;
  /** SIGTERM, then its exit code. */
  stop(): Promise<number | null>;
}

async function answers(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return false;
  return await new Promise((resolve) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

/**
 * The conventional group of build users, with two users, in a world alone. Their numbers are this process's own: what a user has left
 * running is ended before he is taken, and tests at the same time share the processes.
 */
export const makeBuildUsers: string = (() => {
  const first = 300_000 + 10 * process.pid;
  const user = (n: number): string => `zbld${n}:x:${first + n}:${first}::/var/empty:/bin/false`;
  return `cp /etc/group group && cp /etc/passwd passwd
  echo "zbld:x:${first}:zbld1,zbld2" >>group && echo "${user(1)}" >>passwd && echo "${user(2)}" >>passwd
  mount --bind group /etc/group && mount --bind passwd /etc/passwd`;
})();
