/** A well-behaved client beside hostile ones: asks, imports and reads all the time, and notices when it has to wait or is answered wrongly. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { bytesOf, sample, streamOf } from "../../src/store/store.test.support.ts";

export class Bystander {
  /** Milliseconds that each round took, in order. */
  readonly latencies: number[] = [];
  /** The daemon's memory in MiB, the most that was seen. */
  mostMemory = 0;
  readonly #client: StoreClient;
  readonly #pid: number;
  readonly #over = new AbortController();
  #watching: Promise<void> | undefined;

  private constructor(client: StoreClient, pid: number) {
    this.#client = client;
    this.#pid = pid;
  }

  static async beside(socket: string): Promise<Bystander> {
    const client = await StoreClient.connect(socket);
    const hello = await client.hello();
    assert.ok(hello !== undefined);
    const bystander = new Bystander(client, hello.pid);
    bystander.#watching = bystander.#watch(hello.storeDirectory);
    return bystander;
  }

  /** What it saw; throws what went wrong. */
  async end(): Promise<{ median: number; slowest: number; rounds: number; mostMemory: number }> {
    this.#over.abort();
    await this.#watching;
    await this.#client.close();
    const sorted = this.latencies.toSorted((a, b) => a - b);
    return {
      median: sorted[Math.floor(sorted.length / 2)] ?? Infinity,
      slowest: sorted.at(-1) ?? Infinity,
      rounds: sorted.length,
      mostMemory: this.mostMemory,
    };
  }

  async #watch(storeDirectory: string): Promise<void> {
    const directory = parseStoreDirectory(storeDirectory);
    for (let round = 0; !this.#over.signal.aborted; round++) {
      const start = performance.now();
      assert.equal(await this.#client.call("zb.nop", {}), null);
      this.latencies.push(performance.now() - start);
      if (round % 20 === 0) {
        const object = sample(directory, `bystander-${round}`, `round ${round}`);
        await this.#client.importStream([streamOf(object)]);
        await this.#client.barrier();
        const { reports } = await this.#client.call("kiln.importReport", {});
        assert.deepEqual(reports, [{ storePath: object.storePath, status: "imported" }]);
        const bytes = await bytesOf(await this.#client.export([object.storePath]));
        assert.ok(bytes.equals(streamOf(object)), "it gets its own object back");
      }
      this.mostMemory = Math.max(this.mostMemory, memoryOf(this.#pid));
      await delay(5);
    }
  }
}

function memoryOf(pid: number): number {
  const kibibytes = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) / 1024;
}
