/** The real daemon, isolating its builders, in each of the ways in which it may be run; and a look at all that it could leave. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { removeTree } from "../../src/files/remove-tree.ts";
import { processesWith, waitUntil } from "./sandbox.ts";
import { isStarter } from "./starter-of.ts";
import { kilnProgram, makeBuildUsers, World } from "./world.ts";

export interface ServedDaemon {
  readonly socket: string;
  readonly process: ChildProcess;
  log(): string;
}

/** Host folders that a shell and its tools need. */
const hostFolders = ["/bin", "/lib", "/lib64", "/usr"].filter((path) => existsSync(path));

const nobody = 65534;

/** Where a daemon of one kind runs, again and again on the same store. */
export abstract class DaemonPlace implements AsyncDisposable {
  /** Seen by the daemon, by builders as `/shared`, and by the test. */
  abstract readonly folder: string;
  /** Where the daemon's objects lie, as the test sees it. */
  abstract readonly store: string;
  #daemon: ServedDaemon | undefined;

  /** Starts the daemon; the one before is dead. */
  async serve(flags: readonly string[] = []): Promise<ServedDaemon> {
    const shared = join(this.folder, "shared");
    if (!existsSync(shared)) {
      mkdirSync(shared);
      chmodSync(shared, 0o755);
    }
    const paths = [...hostFolders, `/shared=${shared}`];
    this.#daemon = await this.start([
      `--sandbox-path=${paths.join(" ")}`,
      ...[...hostFolders, "/shared"].map((path) => `--implicit-system-dep=${path}`),
      `--build-root=${this.builds}`,
      ...flags,
    ]);
    return this.#daemon;
  }

  /** Parent of build directories. */
  get builds(): string {
    const path = join(this.folder, "builds");
    if (!existsSync(path)) this.makeBuilds(path);
    return path;
  }

  /** Ends the daemon with SIGTERM, or at once. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#daemon?.process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Everything a build could leave: processes, mounts in the daemon's view, folders. `mark` is in the builders' environment. */
  leftovers(mark: string): string[] {
    const slots = join(this.store, ".kiln/sandbox/slots");
    return [
      ...processesWith(mark).map((pid) => `process ${pid}`),
      ...this.settingUp().map((pid) => `set-up ${pid}`),
      ...this.#mounts(),
      ...list(this.builds),
      ...list(join(this.store, ".kiln/tmp")).filter((path) => !isConnections(path)),
      ...list(join(this.store, ".kiln/sandbox/trash")),
      ...list(slots).flatMap((slot) => [
        ...list(join(slot, "tmp")),
        ...list(slot).filter((path) => path.endsWith("/left")),
        ...list(join(slot, "store")).filter((path) => readdirOf(path).length > 0),
      ]),
    ];
  }

  /** Processes of sandboxes that are not the builder's. */
  settingUp(): number[] {
    return processesWith(`SLOT=${this.store}/`).filter((pid) => !isStarter(pid));
  }

  /** Waits until there are none; what there is after `patience` milliseconds. */
  async cleared(mark: string, patience = 10_000): Promise<string[]> {
    await waitUntil(() => this.leftovers(mark).length === 0, patience).catch(() => undefined);
    return this.leftovers(mark);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
    await this.close();
  }

  protected abstract start(flags: readonly string[]): Promise<ServedDaemon>;
  protected abstract close(): Promise<void>;
  protected abstract makeBuilds(path: string): void;

  #mounts(): string[] {
    const child = this.#daemon?.process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return [];
    const mounts = readFileSync(`/proc/${child.pid}/mountinfo`, "utf8").split("\n");
    return mounts.filter((line) => /\.kiln\/|zb-build-/.test(line));
  }
}

class RootPlace extends DaemonPlace {
  readonly folder: string;
  readonly store: string;
  readonly #world: World;
  readonly #flags: readonly string[];
  #starts = 0;

  private constructor(world: World, flags: readonly string[]) {
    super();
    this.#world = world;
    this.#flags = flags;
    this.folder = world.directory;
    // Not where it is for builders, so that its processes are told from those of other tests.
    this.store = join(world.directory, "store");
  }

  static async open(hasUsers: boolean): Promise<RootPlace> {
    const world = await World.open();
    if (hasUsers) {
      const { code, stderr } = await world.run("sh", ["-c", makeBuildUsers]);
      if (code !== 0) throw new Error(stderr);
    }
    chmodSync(world.directory, 0o755);
    return new RootPlace(world, [`--build-users-group=${hasUsers ? "zbld" : ""}`]);
  }

  protected async start(flags: readonly string[]): Promise<ServedDaemon> {
    const name = `serve${++this.#starts}`;
    const places = [`--db=${join(this.folder, "db.sqlite")}`, `--real-store=${this.store}`];
    return await this.#world.serve(kilnProgram, [...this.#flags, ...places, ...flags], { name });
  }

  protected async close(): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }

  protected makeBuilds(path: string): void {
    mkdirSync(path);
  }
}

class UserPlace extends DaemonPlace {
  readonly folder: string = newHome();
  readonly store: string = join(this.folder, ".local/share/kiln/opt/zb/store");

  protected async start(flags: readonly string[]): Promise<ServedDaemon> {
    const asUser =
      process.getuid?.() === 0
        ? ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--"]
        : [];
    const [program = "", ...args] = [...asUser, kilnProgram, "serve", ...flags];
    const child = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"], HOME: this.folder, TMPDIR: this.folder },
    });
    let log = "";
    child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
    const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await waitUntil(() => log.includes("Listening on") || isOver(), 30_000);
    if (isOver()) throw new Error(`kiln serve did not start:\n${log}`);
    const socket = join(this.folder, ".local/share/kiln/opt/zb/var/kiln/server.sock");
    return { socket, process: child, log: () => log };
  }

  protected async close(): Promise<void> {
    await removeTree(this.folder);
  }

  protected makeBuilds(path: string): void {
    mkdirSync(path);
    if (process.getuid?.() === 0) chownSync(path, nobody, nobody);
  }
}

/** A plain user's home. */
function newHome(): string {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "kiln-home-")));
  chmodSync(home, 0o755);
  if (process.getuid?.() === 0) chownSync(home, nobody, nobody);
  return home;
}

export interface DaemonKind {
  readonly name: string;
  open(): Promise<DaemonPlace>;
}

/** A plain user's, on a store that is mapped. */
export const userDaemon: DaemonKind = {
  name: "as a plain user",
  open: async () => await Promise.resolve(new UserPlace()),
};

/** All there are for whoever runs the tests: root can be a plain user, too. */
export const daemonKinds: readonly DaemonKind[] =
  process.getuid?.() === 0
    ? [
        { name: "as root with build users", open: async () => await RootPlace.open(true) },
        { name: "as root without build users", open: async () => await RootPlace.open(false) },
        userDaemon,
      ]
    : [userDaemon];

/** A client's, who may send objects as long as it is connected. */
function isConnections(path: string): boolean {
  return basename(path).startsWith("import-");
}

/** Paths of what is in a folder; nothing if there is none. */
function list(folder: string): string[] {
  return readdirOf(folder).map((name) => join(folder, name));
}

function readdirOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // missing, or no folder
  }
}
