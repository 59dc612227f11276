// Clients that take what there is of connections, memory and time, and a well-behaved one beside.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseStorePath } from "../../src/format/store-path.ts";
import { exportType, frame, request } from "../../src/rpc/wire.test.support.ts";
import { exported, sample, streamOf } from "../../src/store/store.test.support.ts";
import { Stage } from "./stage.ts";

const stage = new Stage();
const { directory, innocent } = stage;
before(() => stage.open());
after(() => stage[Symbol.asyncDispose]());

/** Connections that are given back all at once. */
class Crowd implements AsyncDisposable {
  readonly #all: Socket[] = [];

  async join(): Promise<Socket> {
    const socket = connect({ path: stage.place.socket, allowHalfOpen: true }).on("error", () => {});
    this.#all.push(socket);
    await once(socket, "connect");
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#all) {
      if (socket.closed) continue;
      socket.destroy();
      await once(socket, "close");
    }
  }
}

describe("clients that waste", () => {
  test("200 that begin a message and send no more, and 200 that say nothing", async () => {
    await using crowd = new Crowd();
    for (let i = 0; i < 400; i++) {
      const one = await crowd.join();
      if (i % 2 === 0) one.write(request("zb.nop", 1).subarray(0, 1 + (i % 90)));
    }
    await stage.usual();
  });

  test("100 that begin an import and send a byte now and then", async () => {
    await using crowd = new Crowd();
    const stream = frame(streamOf(sample(directory, "slow", "slow")), exportType);
    const all = await Promise.all(Array.from({ length: 100 }, () => crowd.join()));
    for (let at = 0; at < 30; at++) {
      for (const one of all) one.write(stream.subarray(at * 3, at * 3 + 3));
      await delay(20);
    }
    await stage.usual();
  });

  test("20 that ask for more than they read", async () => {
    await using crowd = new Crowd();
    const large = sample(directory, "large", Buffer.alloc(8 * 1024 * 1024, "large"));
    {
      await using client = await stage.client();
      await client.importStream([streamOf(large)]);
      await client.barrier();
    }
    const asking = Buffer.concat(
      Array.from({ length: 300 }, (_, i) => request("zb.export", i, { paths: [large.storePath] })),
    );
    for (let i = 0; i < 20; i++) {
      const one = await crowd.join();
      one.pause();
      one.write(asking);
    }
    await stage.usual();
  });

  test("10 that ask 20,000 times without reading an answer", async () => {
    await using crowd = new Crowd();
    const asking = Buffer.concat(
      Array.from({ length: 20_000 }, (_, i) =>
        request("zb.exists", i, { path: innocent.storePath }),
      ),
    );
    for (let i = 0; i < 10; i++) {
      const one = await crowd.join();
      one.pause();
      one.write(asking);
    }
    await stage.usual();
  });

  test("1,000 that come and go", async () => {
    for (let i = 0; i < 1000; i++) {
      const one = connect(stage.place.socket);
      // A full queue of the system's is a refusal of its own.
      await Promise.race([once(one, "connect"), once(one, "error")]).catch(() => undefined);
      if (i % 3 === 0) one.write(request("zb.nop", 1));
      one.destroy();
    }
    await stage.usual();
  });

  test("objects with paths of 4,000 bytes, 5,000 times, are told and logged within bounds", async () => {
    await using client = await stage.client();
    const before = stage.daemon.stderr().length;
    const bad = sample(directory, "bad", "bad");
    const storePath = `${directory}/${"x".repeat(3900)}`;
    await client.importStream([
      streamOf(...Array.from({ length: 5000 }, () => exported(bad, { storePath }))),
    ]);
    await client.barrier();
    const { reports } = await client.call("kiln.importReport", {});
    assert.ok(reports.length > 500 && reports.length < 5000, `${reports.length} reports`);
    assert.ok(stage.daemon.stderr().length - before < 2_000_000);
  });

  test("questions about objects that never were leave nothing in memory", async () => {
    await using client = await stage.client();
    for (let i = 0; i < 20; i++) {
      const paths = Array.from({ length: 5000 }, (_, k) => {
        const digest = String(i * 5000 + k).padStart(32, "0");
        return parseStorePath(`${directory}/${digest}-none`);
      });
      const { missing } = await client.call("kiln.missing", { paths });
      assert.equal(missing.length, 5000);
    }
    await stage.usual();
  });
});

test("after all that, the bystander has noticed nothing", async (t) => {
  t.diagnostic(await stage.check(/-large$/));
});
