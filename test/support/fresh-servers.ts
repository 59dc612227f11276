/** Servers on an empty `/opt/zb/store`, one after the other, quick to have: a world with one process that opens them. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ChildProcess } from "node:child_process";
import type { Order } from "./server-in-world.ts";
import { World } from "./world.ts";

export class FreshServers implements AsyncDisposable {
  readonly world: World;
  readonly #opener: ChildProcess;
  readonly #sockets: AsyncIterator<string>;

  private constructor(world: World, opener: ChildProcess) {
    this.world = world;
    this.#opener = opener;
    this.#sockets = createInterface({ input: opener.stdout! })[Symbol.asyncIterator]();
    opener.stderr!.pipe(process.stderr);
  }

  static async open(): Promise<FreshServers> {
    const world = await World.open();
    const program = fileURLToPath(new URL("./server-in-world.ts", import.meta.url));
    return new FreshServers(world, world.spawn(process.execPath, [program]));
  }

  /** Closes the server before, empties the store and opens a new one. Returns its socket. */
  async fresh(order: Order = {}): Promise<string> {
    this.#opener.stdin!.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#sockets.next();
    if (done === true) throw new Error("the process that opens servers has ended");
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#opener.stdin!.end();
    if (this.#opener.exitCode === null && this.#opener.signalCode === null)
      await once(this.#opener, "exit");
    await this.world[Symbol.asyncDispose]();
  }
}
