/** A daemon to be measured: Kiln's or zb's, each with a store on disk at `/opt/zb` in a world of its own. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StorePath } from "../src/format/store-path.ts";
import { StoreClient } from "../src/rpc/client.ts";
import { type Daemon, kilnProgram, World } from "../test/support/world.ts";
import { clearFolder, makeFolder } from "./folders.ts";
import { processesOf } from "./processes.ts";

export type Name = "kiln" | "zb";

/** Flags for builders in a sandbox with the host's programs in it, the same for Kiln and zb. */
export const sandboxed: readonly string[] = [
  "--sandbox=true",
  ...["/bin", "/lib", "/lib64", "/usr"].map((path) => `--implicit-system-dep=${path}`),
];

export class Bench implements AsyncDisposable {
  readonly name: Name;
  readonly world: World;
  readonly #program: string;
  readonly #folder: string;
  readonly #clients = new Set<StoreClient>();
  #daemon: Daemon | undefined;

  private constructor(name: Name, program: string, world: World, folder: string) {
    this.name = name;
    this.world = world;
    this.#program = program;
    this.#folder = folder;
  }

  /** `zb`: the program, for zb's. */
  static async open(name: Name, zb?: string): Promise<Bench> {
    const folder = makeFolder(name);
    mkdirSync(join(folder, "zb", "store"), { recursive: true });
    mkdirSync(join(folder, "..", "builds"));
    const world = await World.open();
    await world.run("mkdir", ["/opt/zb"]);
    const mounted = await world.run("mount", ["--bind", join(folder, "zb"), "/opt/zb"]);
    if (mounted.code !== 0) throw new Error(mounted.stderr);
    return new Bench(name, name === "kiln" ? kilnProgram : zb!, world, folder);
  }

  get socket(): string {
    return this.#daemon!.socket;
  }

  get pid(): number {
    return this.#daemon!.process.pid!;
  }

  /** Starts the daemon; the time until it has answered a request, in milliseconds. */
  async start(flags: readonly string[] = []): Promise<number> {
    await this.stop();
    const begin = performance.now();
    this.#daemon = await this.world.serve(this.#program, [
      "--db=/opt/zb/db.sqlite",
      "--build-users-group=",
      "--sandbox=false",
      `--build-root=${this.buildRoot}`,
      ...flags,
    ]);
    const client = await this.client();
    await client.call("zb.exists", { path: "/opt/zb/store/x" }).catch(() => false);
    return performance.now() - begin;
  }

  get buildRoot(): string {
    return join(this.#folder, "..", "builds");
  }

  /** What the store lies in. */
  get folder(): string {
    return this.#folder;
  }

  /** The database file, as this process sees it. */
  get database(): string {
    return join(this.#folder, "zb", "db.sqlite");
  }

  /** A connection for the caller to close. */
  async connect(): Promise<StoreClient> {
    return await StoreClient.connect(this.socket);
  }

  /** A connection that is closed when the daemon is stopped. */
  async client(): Promise<StoreClient> {
    const client = await this.connect();
    this.#clients.add(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) await client.close();
    this.#clients.clear();
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined) return;
    // One that is busy does not end when it is asked to.
    const killing = setTimeout(() => daemon.process.kill("SIGKILL"), 5000);
    await daemon.stop();
    clearTimeout(killing);
  }

  /** Waits until an import has arrived: zb says nothing of itself. */
  async arrived(client: StoreClient, path: StorePath): Promise<void> {
    for (let tries = 0; ; tries++) {
      if (await client.call("zb.exists", { path })) return;
      if (tries > 6000) throw new Error(`${this.name} never got ${path}`);
      await delay(tries < 20 ? 1 : 10);
    }
  }

  /** MiB of memory, of the daemon alone: now, or at its highest. */
  memory(which: "VmRSS" | "VmHWM"): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(new RegExp(`${which}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  }

  /** Milliseconds of processor time that the daemon, and what it has started, took so far. */
  processorTime(): number {
    return processesOf(this.pid).reduce((sum, { time }) => sum + time, 0);
  }

  /** Objects on disk at the daemon's store. */
  has(path: StorePath): boolean {
    return existsSync(this.world.path(path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.world[Symbol.asyncDispose]();
    clearFolder(this.#folder);
  }
}
