/**
 * Nix without a daemon, on a store of its own in a world of its own. Its store directory is zb's, so that it takes the same export
 * streams. What it does includes the start of its program, as it does for its users.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { StorePath } from "../src/format/store-path.ts";
import { type Ended, World } from "../test/support/world.ts";
import { clearFolder, makeFolder } from "./folders.ts";
import { type Packed, streamOf } from "./objects.ts";

/** Why Nix cannot be measured, or false. */
export const needsNix: string | false = (() => {
  const { error } = spawnSync("nix-store", ["--version"]);
  return error === undefined ? false : "nix-store was not found (Debian's package nix-bin has it)";
})();

export class Nix implements AsyncDisposable {
  readonly world: World;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(world: World, folder: string) {
    this.world = world;
    this.#folder = folder;
    this.#env = {
      NIX_STORE_DIR: "/opt/zb/store",
      NIX_STATE_DIR: "/opt/zb/var",
      NIX_LOG_DIR: "/opt/zb/log",
      NIX_CONF_DIR: join(folder, "zb", "etc"),
      NIX_REMOTE: "local",
    };
  }

  /** `settings` are lines of `nix.conf`. */
  static async open(settings: readonly string[] = []): Promise<Nix> {
    const folder = makeFolder("nix");
    for (const name of ["store", "var", "log", "etc"]) {
      mkdirSync(join(folder, "zb", name), { recursive: true });
    }
    const lines = ["build-users-group =", "sandbox = false", "substituters =", ...settings];
    writeFileSync(join(folder, "zb", "etc", "nix.conf"), `${lines.join("\n")}\n`);
    const world = await World.open();
    await world.run("mkdir", ["/opt/zb"]);
    const mounted = await world.run("mount", ["--bind", join(folder, "zb"), "/opt/zb"]);
    if (mounted.code !== 0) throw new Error(mounted.stderr);
    const nix = new Nix(world, folder);
    // Its first start makes the database.
    await nix.run("nix-store", ["--import"], Buffer.alloc(8));
    return nix;
  }

  /** Runs one of Nix's programs; throws when it fails. */
  async run(program: string, args: readonly string[], input?: Buffer | string): Promise<Ended> {
    const ended = await this.world.run(program, args, {
      env: this.#env,
      ...(input === undefined ? {} : { input }),
    });
    if (ended.code !== 0) throw new Error(`${program} ${args[0]}: ${ended.stderr.slice(-2000)}`);
    return ended;
  }

  /** `nix-store --import`. */
  async import(objects: readonly Packed[]): Promise<void> {
    const child = this.world.spawn("nix-store", ["--import"], { env: this.#env });
    let said = "";
    child.stderr!.on("data", (chunk: Buffer) => void (said += chunk.toString()));
    child.stdout!.resume();
    const ended = once(child, "exit");
    await pipeline(Readable.from(streamOf(objects)), child.stdin!).catch(() => {});
    const [code] = await ended;
    if (code !== 0) throw new Error(`nix-store --import: ${said.slice(-2000)}`);
  }

  /** `nix-store --export` of just these; the number of bytes that came. */
  async export(paths: readonly StorePath[]): Promise<number> {
    const child = this.world.spawn("nix-store", ["--export", ...paths], { env: this.#env });
    child.stderr!.resume();
    child.stdin!.end();
    const ended = once(child, "exit");
    let bytes = 0;
    for await (const chunk of child.stdout!) bytes += (chunk as Buffer).length;
    const [code] = await ended;
    if (code !== 0) throw new Error(`nix-store --export ended with ${code}`);
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
    clearFolder(this.#folder);
  }
}
