import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, request } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { isElsewhere, type Policy, Proxy } from "./proxy.ts";

for (const [address, is] of [
  ["127.0.0.1", false],
  ["127.9.9.9", false],
  ["0.0.0.0", false],
  ["169.254.169.254", false],
  ["224.0.0.1", false],
  ["255.255.255.255", false],
  ["::1", false],
  ["::", false],
  ["fe80::1", false],
  ["ff02::1", false],
  ["::ffff:127.0.0.1", false],
  ["::ffff:169.254.1.1", false],
  ["192.0.2.1", true],
  ["10.1.2.3", true],
  ["2001:db8::1", true],
  ["::ffff:192.0.2.1", true],
] as const) {
  test(`${address} is ${is ? "another machine" : "not for builders"}`, () => {
    assert.equal(isElsewhere(address), is);
  });
}

test("this machine's own addresses are not for builders", () => {
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  assert.deepEqual(
    own.filter(({ address }) => isElsewhere(address)),
    [],
  );
});

interface Local extends AsyncDisposable {
  readonly port: number;
}

async function open(server: Server): Promise<Local> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function openProxy(policy: Policy): Promise<Local> {
  const proxy = new Proxy(policy);
  const server = await open(createServer((socket) => proxy.accept(socket)));
  return {
    port: server.port,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Tunnels through the proxy, says `word`, and gives status and answer. */
function tunnel(proxyPort: number, authority: string, word: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port: proxyPort, method: "CONNECT", path: authority })
      .on("connect", (response, socket, head) => {
        if (response.statusCode !== 200) {
          socket.destroy();
          resolve(`${response.statusCode}`);
          return;
        }
        if (head.length > 0) resolve(head.toString());
        socket.once("data", (data: Buffer) => {
          socket.end();
          resolve(data.toString());
        });
        socket.write(word);
      })
      .on("error", reject)
      .end();
  });
}

test("a tunnel through a second proxy, with its password", async () => {
  const seen: string[] = [];
  await using echo = await open(createServer((socket) => socket.pipe(socket)));
  await using second = await openProxy({
    allows: () => true,
    onHost: (host, port) => seen.push(`${host}:${port}`),
  });
  const environment = { HTTPS_PROXY: `http://a:b@127.0.0.1:${second.port}` };
  await using first = await openProxy({ allows: () => true, environment });
  // Reaches loopback, but is not taken for this machine, which would be reached without the second proxy.
  assert.equal(await tunnel(first.port, `0.0.0.0:${echo.port}`, "hello"), "hello");
  assert.deepEqual(seen, [`0.0.0.0:${echo.port}`]);
});

test("what the second proxy refuses is an error of the gateway", async () => {
  await using second = await openProxy({ allows: () => false });
  const environment = { HTTPS_PROXY: `http://127.0.0.1:${second.port}` };
  await using first = await openProxy({ allows: () => true, environment });
  assert.equal(await tunnel(first.port, "0.0.0.0:9", ""), "502");
});

test("a name that leads to this machine is refused though it is only a name", async () => {
  await using page = await open(createHttpServer((_, answer) => answer.end("secret")));
  await using proxy = await openProxy({});
  assert.equal(await tunnel(proxy.port, `localhost:${page.port}`, ""), "502");
  const status = await new Promise((resolve, reject) => {
    request(
      { host: "127.0.0.1", port: proxy.port, path: `http://localhost:${page.port}/` },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    )
      .on("error", reject)
      .end();
  });
  assert.equal(status, 502);
});

test("a request that is none for a proxy is a bad one", async () => {
  await using proxy = await openProxy({});
  const status = await new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port: proxy.port, path: "/x" }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
  assert.equal(status, 400);
  assert.equal(await tunnel(proxy.port, "nonsense", ""), "403");
});

test("a server that is not there is an error of the gateway", async () => {
  await using proxy = await openProxy({ allows: () => true });
  const closed = await open(createServer());
  await closed[Symbol.asyncDispose]();
  assert.equal(await tunnel(proxy.port, `127.0.0.1:${closed.port}`, ""), "502");
});
