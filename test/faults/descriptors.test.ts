// A daemon that may open few files, with more connections than that.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { hasCode } from "../../src/util/kiln-error.ts";
import {
  bytesOf,
  exported,
  sample,
  streamOf,
  type Tree,
} from "../../src/store/store.test.support.ts";
import { exportType } from "../../src/rpc/wire.test.support.ts";
import { hostFolders, Place, shellTargets, until } from "../support/cli.ts";

test("more connections than descriptors are refused, and whoever is connected goes on", async () => {
  await using place = new Place();
  const daemon = await place.serve([], { through: ["sh", "-c", 'ulimit -n 160; exec "$0" "$@"'] });
  const object = sample(parseStoreDirectory(place.store), "object", {
    entries: { a: "a", b: { entries: { c: "c" } } },
  });
  await using client = await StoreClient.connect(place.socket);
  await client.importStream([streamOf(object)]);
  await client.barrier();
  const flood = Array.from({ length: 300 }, () => connect(place.socket));
  let closed = 0;
  for (const socket of flood) socket.on("error", () => {}).on("close", () => closed++);
  await until(daemon, () => daemon.stderr().includes("too many connections"));
  for (let round = 0; round < 20; round++) {
    const bytes = await bytesOf(await client.export([object.storePath]));
    assert.ok(bytes.equals(streamOf(exported(object))));
    const { damaged } = await client.call("kiln.verify", { contents: true });
    assert.deepEqual(damaged, []);
    const more = sample(parseStoreDirectory(place.store), `more-${round}`, "more");
    await client.importStream([streamOf(more)]);
    await client.barrier();
    const { reports } = await client.call("kiln.importReport", {});
    assert.deepEqual(
      reports.filter(({ status }) => status === "rejected"),
      [],
    );
  }
  assert.ok(closed > 100, `${closed} were refused`);
  await Promise.all(flood.map(end));
  await using next = await whenThereIsRoom(place.socket);
  assert.equal(await next.call("zb.exists", { path: object.storePath }), true);
});

test("imports that stand still in deep trees, on all connections there are, leave enough for another", async () => {
  await using place = new Place();
  const daemon = await place.serve([], { through: ["sh", "-c", 'ulimit -n 256; exec "$0" "$@"'] });
  const directory = parseStoreDirectory(place.store);
  let tree: Tree = { entries: { file: "stands still here" } };
  for (let depth = 0; depth < 40; depth++) tree = { entries: { folder: tree } };
  const whole = exported(sample(directory, "deep", tree));
  const cut = whole.subarray(0, whole.indexOf("still"));
  await using client = await StoreClient.connect(place.socket);
  const flood = Array.from({ length: 200 }, () => connect(place.socket));
  let closed = 0;
  for (const socket of flood) {
    socket.on("error", () => {}).on("close", () => closed++);
    socket.write(`Content-Type: ${exportType}\r\n\r\n`);
    socket.write(cut);
  }
  const served = (): number => flood.length - closed;
  const begun = (): number => readdirSync(join(place.store, ".kiln/tmp")).length;
  await until(daemon, () => daemon.stderr().includes("too many connections"));
  await until(daemon, () => begun() >= served());
  for (let round = 0; round < 5; round++) {
    const object = sample(directory, `object-${round}`, "object");
    await client.importStream([streamOf(object)]);
    await client.barrier();
    const { reports } = await client.call("kiln.importReport", {});
    assert.deepEqual(reports, [{ storePath: object.storePath, status: "imported" }]);
  }
  assert.ok(served() > 10, `${served()} are served`);
  await Promise.all(flood.map(end));
});

test("more readers of the page than descriptors leave enough for clients and builds", async () => {
  await using place = new Place();
  place.write("kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
  const daemon = await place.serve(
    ["--ui=127.0.0.1:0", `--sandbox-path=${hostFolders.join(" ")}`],
    { through: ["sh", "-c", 'ulimit -n 160; exec "$0" "$@"'] },
  );
  await until(daemon, () => daemon.stderr().includes("The web page is at"));
  const port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(daemon.stderr())?.[1]);
  const flood = Array.from({ length: 300 }, () => connect(port, "127.0.0.1"));
  let closed = 0;
  for (const socket of flood) {
    socket.on("error", () => {}).on("close", () => closed++);
    socket.write("GET /api/v1/builds/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.resume();
  }
  await until(daemon, () => closed > 200);
  const built = await place.run(["build"]);
  assert.equal(built.code, 0, built.stderr);
  assert.ok(closed < 300, "some are served");
  await Promise.all(flood.map(end));
});

/** A client of the daemon as soon as that has noticed that others are gone: before, it refuses whoever comes. */
async function whenThereIsRoom(path: string): Promise<StoreClient> {
  for (;;) {
    const client = await StoreClient.connect(path);
    try {
      await client.call("zb.nop", {});
      return client;
    } catch (error) {
      assert.ok(hasCode(error, "socket.interrupted"), String(error));
      await client.close();
      await delay(20);
    }
  }
}

async function end(socket: Socket): Promise<void> {
  if (socket.closed) return;
  socket.destroy();
  await once(socket, "close");
}
