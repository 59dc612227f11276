/** A world with a small disk, by default at `/opt`, with a daemon that has everything on it: objects, database, logs, build directories. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StoreClient } from "../../src/rpc/client.ts";
import { hostFolders } from "../support/cli.ts";
import { audit } from "../crash/audit.ts";
import { type Daemon, type Ended, kilnProgram, World } from "../support/world.ts";

const database = "/opt/zb/var/zb/db.sqlite";

export class SmallDisk implements AsyncDisposable {
  readonly world: World;
  #daemon: Daemon | undefined;

  readonly #place: string;

  private constructor(world: World, place: string) {
    this.world = world;
    this.#place = world.path(place);
  }

  /** `place` is made unless it is there; `options` are more of tmpfs's. */
  static async open(mebibytes: number, place = "/opt", options = ""): Promise<SmallDisk> {
    const world = await World.open();
    mkdirSync(world.path(place), { recursive: true });
    const { code, stderr } = await world.run("mount", [
      "-t",
      "tmpfs",
      "-o",
      `size=${mebibytes}m${options}`,
      "kiln",
      place,
    ]);
    if (code !== 0) throw new Error(`a small disk cannot be had: ${stderr}`);
    mkdirSync(world.path("/opt/build"));
    return new SmallDisk(world, place);
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error("no daemon was started");
    return this.#daemon;
  }

  async start(): Promise<StoreClient> {
    this.#daemon = await this.world.serve(kilnProgram, [
      "--sandbox=false",
      "--build-users-group=",
      `--sandbox-path=${hostFolders.join(" ")}`,
      `--db=${database}`,
      "--log-directory=/opt/zb/var/log",
      "--build-root=/opt/build",
    ]);
    return await this.connect();
  }

  async connect(): Promise<StoreClient> {
    return await StoreClient.connect(this.daemon.socket);
  }

  async kill(): Promise<void> {
    this.daemon.process.kill("SIGKILL");
    await once(this.daemon.process, "exit");
  }

  /** A command of Kiln's in the world. */
  async run(...args: string[]): Promise<Ended> {
    return await this.world.run(kilnProgram, args);
  }

  get free(): number {
    const { bavail, bsize } = statfsSync(this.#place);
    return bavail * bsize;
  }

  /** Leaves so many bytes free, or fewer: the daemon may be removing and writing. */
  fill(leave = 0): void {
    rmSync(this.#filler, { force: true });
    try {
      writeFileSync(this.#filler, Buffer.alloc(Math.max(0, this.free - leave)));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  /** What is wrong with the store, seen from outside. */
  faults(): readonly string[] {
    // SQLite does not find its way through /proc.
    const copy = join(this.world.directory, "copy.db");
    for (const end of ["", "-wal"]) {
      rmSync(copy + end, { force: true });
      const original = this.world.path(database + end);
      if (existsSync(original)) copyFileSync(original, copy + end);
    }
    rmSync(`${copy}-shm`, { force: true });
    return audit({ store: this.world.path("/opt/zb/store"), database: copy, isRunning: true })
      .faults;
  }

  /** Waits until nothing is wrong with the store: what could not be written down is, once there is space again. */
  async sound(tolerated?: RegExp): Promise<void> {
    const faults = (): string[] =>
      this.faults().filter((fault) => tolerated === undefined || !tolerated.test(fault));
    const deadline = performance.now() + 10_000;
    while (faults().length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(faults(), []);
  }

  get #filler(): string {
    return join(this.#place, "filler");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}
