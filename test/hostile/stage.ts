/** A daemon for hostile clients, and a well-behaved one beside them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseStoreDirectory, type StoreDirectory } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { Wire } from "../../src/rpc/wire.test.support.ts";
import { sample, streamOf, type Sample } from "../../src/store/store.test.support.ts";
import { Place, type Started } from "../support/cli.ts";
import { Bystander } from "./bystander.ts";

export class Stage implements AsyncDisposable {
  readonly place: Place = new Place();
  readonly directory: StoreDirectory = parseStoreDirectory(this.place.store);
  /** In the store from the beginning. */
  readonly innocent: Sample = sample(this.directory, "innocent", { entries: { file: "innocent" } });
  #daemon: Started | undefined;
  #bystander: Bystander | undefined;

  async open(): Promise<void> {
    this.#daemon = await this.place.serve();
    await using client = await this.client();
    await client.importStream([streamOf(this.innocent)]);
    await client.barrier();
    this.#bystander = await Bystander.beside(this.place.socket);
  }

  get daemon(): Started {
    assert.ok(this.#daemon !== undefined);
    return this.#daemon;
  }

  get bystander(): Bystander {
    assert.ok(this.#bystander !== undefined);
    return this.#bystander;
  }

  async client(): Promise<StoreClient> {
    return await StoreClient.connect(this.place.socket);
  }

  /** A client that knows nothing of protocols. */
  async wire(): Promise<Wire> {
    const socket = connect({ path: this.place.socket, allowHalfOpen: true });
    await once(socket, "connect");
    return new Wire(socket);
  }

  alive(): void {
    assert.equal(this.daemon.process.exitCode, null, this.daemon.stderr());
  }

  /** The bystander goes on, for a while. */
  async usual(): Promise<void> {
    const { latencies } = this.bystander;
    const count = latencies.length;
    const deadline = performance.now() + 10_000;
    while (latencies.length < count + 30) {
      assert.ok(performance.now() < deadline, "the bystander waits");
      await delay(10);
    }
    this.alive();
  }

  /**
   * After it all: the bystander has noticed nothing, and nothing is in the store but objects with these names and its own. Gives a
   * line about what it saw.
   */
  async check(names: RegExp): Promise<string> {
    const { median, slowest, rounds, mostMemory } = await this.bystander.end();
    assert.ok(median < 50, `median ${median} ms`);
    assert.ok(slowest < 2000, `slowest ${slowest} ms`);
    assert.ok(mostMemory < 700, `${mostMemory} MiB`);
    await using client = await this.client();
    const { objects } = await client.call("kiln.objects", {});
    const strange = objects.filter(
      ({ path }) => !names.test(path) && !/-(innocent|bystander-\d+)$/.test(path),
    );
    assert.deepEqual(strange, []);
    const { damaged, foreign } = await client.call("kiln.verify", { contents: true });
    assert.deepEqual([damaged, foreign], [[], []]);
    for (const name of ["tmp", "trash"]) await emptied(join(this.place.store, ".kiln", name));
    return `${rounds} rounds beside: median ${median.toFixed(1)} ms, slowest ${slowest.toFixed(0)} ms; memory at most ${mostMemory.toFixed(0)} MiB`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.place[Symbol.asyncDispose]();
  }
}

/** Waits until nothing is in it but what the daemon keeps there for its builders. */
async function emptied(folder: string): Promise<void> {
  const left = (): string[] => readdirSync(folder).filter((name) => !name.startsWith("fifo-"));
  // They go one after the other, on a busy machine slowly, and one of them alone may take seconds: only what stands still for long is a fault.
  let least = Infinity;
  for (let tries = 0; tries < 3000 && left().length > 0; tries++) {
    const { length } = left();
    if (length < least) tries = 0;
    least = Math.min(least, length);
    await delay(10);
  }
  assert.deepEqual(left(), []);
}
