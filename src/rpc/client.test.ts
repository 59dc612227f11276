import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { parseContentAddress } from "../format/content-address.ts";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { encodeStrings } from "../format/nar/tokens.ts";
import { parseStorePath } from "../format/store-path.ts";
import { hasCode } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { checkParams } from "./checkers.ts";
import { StoreClient } from "./client.ts";
import { ErrorCode, methodNotFound, RpcError } from "./errors.ts";
import { Headers } from "./headers.ts";
import { Peer, type PeerOptions, type Request } from "./peer.ts";

const path = parseStorePath("/opt/zb/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt");
const ca = parseContentAddress(
  "fixed:r:sha256:1qicirpsz48j7a2r5h9lj04kipdyvxanwglv9ymfq0qsv7isywdf",
);

/** An export stream of `count` objects of so many bytes. */
function exportOf(count: number, size = 10): Buffer {
  const contents = "x".repeat(size);
  const nar = encodeStrings("nix-archive-1", "(", "type", "regular", "contents", contents, ")");
  const trailer = exportTrailer({ storePath: path, references: [], deriver: "", ca });
  const objects = Array.from({ length: count }, () => [exportObjectHeader(), nar, trailer]);
  return Buffer.concat([...objects.flat(), exportEnd()]);
}

/** A client, and a server of which only this much is there. */
function connected(t: TestContext, options: PeerOptions): { client: StoreClient; server: Peer } {
  const [a, b] = duplexPair();
  const server = new Peer(b, options);
  const client = StoreClient.over(a);
  t.after(async () => {
    server.destroy();
    await client.close();
  });
  return { client, server };
}

async function gather(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** The header as v0.1.0 and v0.2 write it. */
const headersOf = {
  v1: ({ idText = "" }: Request): Headers => new Headers().set("X-Request-Id", idText),
  v2: ({ extra }: Request): Headers =>
    new Headers().set("Zb-Export-Id", String(extra["zbExportID"])),
  kiln: (request: Request): Headers =>
    headersOf.v2(request).set("X-Request-Id", request.idText ?? ""),
};

function* half(): Generator<Buffer> {
  yield exportOf(1).subarray(0, 100);
  throw new Error("hash mismatch");
}

/** A server that answers every export with these bytes. */
function exporter(stream: Buffer, version: keyof typeof headersOf = "kiln"): PeerOptions {
  return {
    handler: async (request) => {
      if (request.method === "zb.nop") return null;
      await request.peer.sendExport(headersOf[version](request), [stream]);
      return null;
    },
  };
}

test("a call is sent with its parameters, and its answer is checked", async (t) => {
  const { client } = connected(t, {
    handler: ({ method, params }) => {
      assert.deepEqual(params, { path });
      return Promise.resolve(method === "zb.exists" ? true : { info: "none" });
    },
  });
  assert.equal(await client.call("zb.exists", { path }), true);
  await assert.rejects(client.call("zb.info", { path }), (error) => hasCode(error, "rpc.internal"));
});

test("an answer may be longer than a request", async (t) => {
  const found = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, i) => [
      `/opt/zb/store/${String(i).padStart(32, "0")}-x`,
      {
        narHash: "sha256-wHCu2TZsWxzPbDUYfXvNDV0/VjN5QDF1OtawWnXtu3Y=",
        narSize: 1,
        references: [],
        ca: "",
      },
    ]),
  );
  const { client } = connected(t, { handler: () => Promise.resolve({ found }) });
  const answer = await client.call("zb.fetch", { paths: [] });
  assert.equal(Object.keys(answer.found).length, 20_000);
});

test("an error of the server is thrown with its code", async (t) => {
  const { client } = connected(t, {
    handler: () => Promise.reject(new RpcError(ErrorCode.failed, "no object x")),
  });
  await assert.rejects(client.call("zb.info", { path }), (error) => {
    assert.ok(error instanceof RpcError);
    assert.deepEqual(
      [error.wireCode, error.code, error.message],
      [-32001, "rpc.failed", "no object x"],
    );
    return true;
  });
});

test("zb is told from Kiln by its not knowing kiln.hello", async (t) => {
  const { client: zb } = connected(t, {
    handler: ({ method }) => Promise.reject(methodNotFound(method)),
  });
  assert.equal(await zb.hello(), undefined);
  const hello = {
    name: "kiln",
    version: "0.1.0",
    protocol: 1,
    pid: 1,
    storeDirectory: "/opt/zb/store",
    realStoreDirectory: "/opt/zb/store",
    system: "x86_64-linux",
    jobs: 2,
    systemDeps: [],
    sandbox: "none",
  };
  const { client: kiln } = connected(t, { handler: () => Promise.resolve(hello) });
  assert.deepEqual(await kiln.hello(), hello);
  const { client: broken } = connected(t, { handler: () => Promise.reject(new Error("oops")) });
  await assert.rejects(broken.hello(), /oops/);
});

test("what is called after an import finds it received", async (t) => {
  let received = 0;
  const stream = exportOf(2);
  const { client } = connected(t, {
    handler: () => Promise.resolve(received === stream.length),
    receiveExport: async (body) => {
      received += (await body.exact(stream.length)).length;
    },
  });
  const sent = client.importStream([stream.subarray(0, 20), stream.subarray(20)]);
  assert.equal(await client.call("zb.exists", { path }), true);
  await sent;
});

test("a barrier is one for zb v0.1.0, too", async (t) => {
  const { client } = connected(t, {
    handler: ({ method }) => Promise.reject(methodNotFound(method)),
  });
  await client.barrier();
  const { client: broken } = connected(t, { handler: () => Promise.reject(new Error("oops")) });
  await assert.rejects(broken.barrier(), /oops/);
});

for (const version of ["v1", "v2", "kiln"] as const) {
  test(`an export is known by the header of ${version}`, async (t) => {
    const stream = exportOf(3);
    const { client } = connected(t, exporter(stream, version));
    await client.call("zb.nop", {});
    for (let i = 0; i < 2; i++) {
      assert.ok((await gather(await client.export([path]))).equals(stream));
    }
    assert.equal(await client.call("zb.nop", {}), null);
  });
}

test("an export has exactly its bytes, however it is cut", async (t) => {
  const stream = exportOf(3, 100);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(stream.length), { maxLength: 8 }), async (cuts) => {
      const marks = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
      const chunks = marks.slice(1).map((end, i) => stream.subarray(marks[i], end));
      const { client } = connected(t, {
        handler: async (request) => {
          await request.peer.sendExport(headersOf.kiln(request), chunks);
          return null;
        },
      });
      assert.ok((await gather(await client.export([path]))).equals(stream));
      await client.close();
    }),
  );
});

test("two exports at once come to whom they belong", async (t) => {
  const { client } = connected(t, {
    handler: async (request) => {
      const { excludeReferences } = checkParams("zb.export", request.params);
      const count = excludeReferences === true ? 1 : 2;
      await request.peer.sendExport(headersOf.kiln(request), [exportOf(count)]);
      return null;
    },
  });
  const [two, one] = await Promise.all([
    client.export([path]).then(gather),
    client.export([path], { excludeReferences: true }).then(gather),
  ]);
  assert.ok(two.equals(exportOf(2)) && one.equals(exportOf(1)));
});

test("an export that is refused fails before it begins", async (t) => {
  const { client } = connected(t, {
    handler: () => Promise.reject(new RpcError(ErrorCode.failed, "no object x")),
  });
  await assert.rejects(client.export([path]), /no object x/);
});

test("an answer without an export is an error", async (t) => {
  const { client } = connected(t, { handler: () => Promise.resolve(null) });
  await assert.rejects(client.export([path]), (error) => hasCode(error, "export.missing"));
});

test("an error after the export reaches whoever reads it", async (t) => {
  const { client } = connected(t, {
    handler: async (request) => {
      await request.peer.sendExport(headersOf.kiln(request), [exportOf(1)]);
      throw new RpcError(ErrorCode.failed, "after all");
    },
  });
  await assert.rejects(client.export([path]).then(gather), /after all/);
});

test("an export that is left early does not disturb what comes after", async (t) => {
  const { client } = connected(t, exporter(exportOf(40, 50_000)));
  for await (const chunk of await client.export([path])) {
    assert.ok(chunk.length > 0);
    break;
  }
  assert.equal(await client.call("zb.nop", {}), null);
});

test("an export that nobody asked for is passed over", async (t) => {
  const { client, server } = connected(t, { handler: () => Promise.resolve(null) });
  await server.sendExport(new Headers(), [exportOf(2, 10_000)]);
  await server.sendExport(new Headers().set("Zb-Export-Id", "__proto__"), [exportOf(0)]);
  assert.equal(await client.call("zb.nop", {}), null);
});

test("an export is not read faster than it is used", async (t) => {
  let sent = 0;
  const stream = exportOf(400, 50_000);
  function* chunks(): Generator<Buffer> {
    for (let at = 0; at < stream.length; at += 50_000) {
      yield stream.subarray(at, at + 50_000);
      sent++;
    }
  }
  const { client } = connected(t, {
    handler: async (request) => {
      await request.peer.sendExport(headersOf.kiln(request), chunks());
      return null;
    },
  });
  const read = await client.export([path]);
  for (let before = -1; before !== sent;) {
    before = sent;
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(sent < 20, `${sent} of 400 chunks were sent`);
  assert.ok((await gather(read)).equals(stream));
});

test("an export that only passes gives its memory back, and one that is shared does not", async (t) => {
  const stream = exportOf(4, 200_000);
  await using folder = await temporaryDirectory(tmpdir(), "kiln-client-");
  const socket = join(folder.path, "s");
  const server = createServer((stranger) => new Peer(stranger, exporter(stream, "kiln")));
  await once(server.listen(socket), "listening");
  t.after(() => server.close());
  await using far = await StoreClient.connect(socket);
  const { client: near } = connected(t, exporter(stream, "kiln"));
  for (const [client, isFreed] of [
    [far, true],
    [near, false],
  ] as const) {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of await client.export([path], { passing: true })) {
      assert.equal(Buffer.compare(chunk, stream.subarray(bytes, bytes + chunk.length)), 0);
      bytes += chunk.length;
      chunks.push(chunk);
    }
    assert.equal(bytes, stream.length);
    assert.equal(
      chunks.some(({ buffer }) => buffer.byteLength === 0),
      isFreed,
    );
  }
});

test("an export that is aborted fails with the reason, and the connection goes on", async (t) => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const { client } = connected(t, exporter(exportOf(40, 50_000)));
  const read = await client.export([path], { signal: abort.signal });
  await assert.rejects(async () => {
    for await (const _ of read) abort.abort(reason);
  }, reason);
  assert.equal(await client.call("zb.nop", {}), null);
});

test("an export that the connection cuts fails", async (t) => {
  const { client } = connected(t, {
    handler: async (request) => {
      await request.peer.sendExport(headersOf.kiln(request), half());
    },
  });
  await assert.rejects(client.export([path]).then(gather), (error) =>
    hasCode(error, "socket.interrupted"),
  );
});

test("an export that is none ends the connection", async (t) => {
  const { client } = connected(t, exporter(Buffer.alloc(64, 7)));
  await assert.rejects(client.export([path]).then(gather), (error) =>
    hasCode(error, "socket.interrupted"),
  );
});

function event(seq: number): object {
  return { v: 1, seq, time: "t", type: "tick", buildID: "b" };
}

test("the events of a build come in order, until it is over", async (t) => {
  const { client } = connected(t, {
    handler: ({ method, params, id, peer }) => {
      assert.ok(method === "kiln.watch");
      const { after = 0 } = checkParams(method, params);
      peer.notify("kiln.event", { watch: "another", event: event(99) });
      for (const seq of [after + 1, after + 2]) {
        peer.notify("kiln.event", { watch: id, event: event(seq) });
      }
      return Promise.resolve(null);
    },
  });
  const seen: number[] = [];
  await client.watch("b", ({ seq }) => seen.push(seq));
  await client.watch("b", ({ seq }) => seen.push(seq), { after: 7 });
  assert.deepEqual(seen, [1, 2, 8, 9]);
});

test("notifications reach every listener until it leaves; requests of a server are refused", async (t) => {
  const { client, server } = connected(t, { handler: () => Promise.resolve(null) });
  const seen: unknown[] = [];
  const first = client.onNotification((method, params) => seen.push(["first", method, params]));
  client.onNotification((method) => seen.push(["second", method]));
  server.notify("a", { x: 1 });
  await client.call("zb.nop", {});
  first[Symbol.dispose]();
  server.notify("b", {});
  await client.call("zb.nop", {});
  assert.deepEqual(seen, [
    ["first", "a", { x: 1 }],
    ["second", "a"],
    ["second", "b"],
  ]);
  await assert.rejects(server.call("m", {}), (error) => hasCode(error, "rpc.method"));
});

test("a notification is sent before the connection is closed", async (t) => {
  const came = Promise.withResolvers<Request>();
  const { client } = connected(t, {
    handler: (request) => Promise.resolve(came.resolve(request)),
  });
  client.notify("zb.cancelBuild", { buildID: "b" });
  await client.close();
  const { method, params, notification } = await came.promise;
  assert.deepEqual([method, params, notification], ["zb.cancelBuild", { buildID: "b" }, true]);
});

test("pending calls fail clearly when the connection drops or is closed", async (t) => {
  const asked = Promise.withResolvers<void>();
  const handler = (): Promise<never> => {
    asked.resolve();
    return new Promise(() => undefined);
  };
  const dropped = connected(t, { handler: ({ signal }) => interruptible(signal, handler) });
  const call = assert.rejects(dropped.client.call("zb.nop", {}), (error) =>
    hasCode(error, "socket.interrupted"),
  );
  await asked.promise;
  dropped.server.destroy();
  await call;
  await dropped.client.closed;
  const left = connected(t, { handler: ({ signal }) => interruptible(signal, handler) });
  const waiting = assert.rejects(left.client.call("zb.nop", {}), (error) =>
    hasCode(error, "socket.closed"),
  );
  await left.client.close();
  await waiting;
});

function interruptible(signal: AbortSignal, wait: () => Promise<never>): Promise<unknown> {
  const abort = new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")));
  });
  return Promise.race([wait(), abort]);
}

test("a client connects to a socket", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kiln-client-"));
  const socket = join(folder, "socket");
  const peers: Peer[] = [];
  const server = createServer((stream) => {
    peers.push(new Peer(stream, { handler: () => Promise.resolve(null) }));
  });
  try {
    server.listen(socket);
    await once(server, "listening");
    {
      await using client = await StoreClient.connect(socket);
      assert.equal(await client.call("zb.nop", {}), null);
    }
    await Promise.all(peers.map(({ closed }) => closed));
    const reason = new Error("enough");
    await assert.rejects(
      StoreClient.connect(socket, { signal: AbortSignal.abort(reason) }),
      reason,
    );
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
});

test("who cannot connect is told the path and why", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kiln-client-"));
  try {
    const absent = join(folder, "absent");
    await assert.rejects(StoreClient.connect(absent), (error) => {
      assert.ok(hasCode(error, "socket.absent"));
      assert.equal(error.message, `no daemon at ${absent}: there is no such socket`);
      assert.equal(error.path, absent);
      return true;
    });
    // A plain file refuses as a socket does that nobody listens on.
    const refused = new URL(import.meta.url).pathname;
    await assert.rejects(StoreClient.connect(refused), (error) => {
      assert.ok(hasCode(error, "socket.refused"));
      assert.equal(error.message, `no daemon at ${refused}: refused`);
      return true;
    });
    const tooLong = join(folder, "x".repeat(200));
    await assert.rejects(StoreClient.connect(tooLong), (error) => {
      assert.ok(hasCode(error, "socket.failed"));
      assert.ok(error.message.includes(tooLong));
      return true;
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
