// Builders that may use a network get a proxy, and nothing else of the host's network.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { describe, test } from "node:test";
import { Bench, daemonModes } from "./support/sandbox.ts";

/** Asks for `http://127.0.0.1:$PORT/` and tunnels to `127.0.0.1:$ECHO`, both through the proxy, and tells how that went. */
const client = `cat >client.mjs <<'END'
import { request } from "node:http";
const proxy = new URL(process.env.http_proxy ?? "http://127.0.0.1:3128");
const through = { host: proxy.hostname, port: proxy.port };
const got = await new Promise((resolve) => {
  request({ ...through, path: "http://127.0.0.1:" + process.env.PORT + "/page?x=1", headers: { host: "example.org" } }, async (response) => {
    resolve(response.statusCode + " " + (await response.toArray()).join("").trim());
  }).on("error", (error) => resolve(error.code)).end();
});
console.log(got);
const tunneled = await new Promise((resolve) => {
  request({ ...through, method: "CONNECT", path: "127.0.0.1:" + process.env.ECHO })
    .on("connect", (response, socket) => {
      if (response.statusCode !== 200) return resolve(response.statusCode), socket.destroy();
      socket.write("hello");
      socket.once("data", (data) => (resolve(String(data)), socket.end()));
    })
    .on("error", (error) => resolve(error.code)).end();
});
console.log(tunneled);
END
node client.mjs`;

/** Servers of this machine: one that answers every request, and one that says back what it hears. */
async function servers(): Promise<AsyncDisposable & { env: Record<string, string> }> {
  const page = createHttpServer((incoming, answer) =>
    answer.end(`${incoming.url} for ${incoming.headers.host}`),
  );
  const echo = createServer((socket) => socket.pipe(socket).on("error", () => {}));
  for (const server of [page, echo]) await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    env: { PORT: portOf(page), ECHO: portOf(echo) },
    async [Symbol.asyncDispose]() {
      page.closeAllConnections();
      for (const server of [page, echo]) await new Promise((resolve) => server.close(resolve));
    },
  };
}

function portOf(server: { address(): unknown }): string {
  return String((server.address() as AddressInfo).port);
}

for (const mode of daemonModes) {
  describe(`a builder with a network, ${mode.name},`, { concurrency: false }, () => {
    test("reaches servers through a proxy when its output is fixed", async () => {
      await using local = await servers();
      await using bench = await Bench.open(mode, { allowLocal: true });
      const report = await bench.build({ script: client, env: local.env, fixed: true });
      assert.equal(report.log, "200 /page?x=1 for example.org\nhello\n");
      assert.deepEqual(report.left, []);
    });

    test("is one that asks for it by __network=1, too", async () => {
      await using local = await servers();
      await using bench = await Bench.open(mode, { allowLocal: true });
      const env = { ...local.env, __network: "1" };
      const report = await bench.build({ script: client, env });
      assert.equal(report.log, "200 /page?x=1 for example.org\nhello\n");
    });

    test("does not reach servers of this machine by the proxy", async () => {
      await using local = await servers();
      await using bench = await Bench.open(mode);
      const report = await bench.build({ script: client, env: local.env, fixed: true });
      assert.equal(report.log, "403 127.0.0.1 is not to be reached from a build\n403\n");
    });

    test("does not reach them past the proxy either", async () => {
      await using local = await servers();
      await using bench = await Bench.open(mode, { allowLocal: true });
      const script = `node -e 'require("net").connect(process.env.ECHO, "127.0.0.1").on("error", (e) => console.log(e.code))'`;
      const report = await bench.build({ script, env: local.env, fixed: true });
      assert.equal(report.log, "ECONNREFUSED\n");
    });

    test("does not use up the daemon's descriptors", async () => {
      await using bench = await Bench.open(mode);
      const script = `node -e '
        let refused = 0;
        setTimeout(() => { console.log("all are taken"); process.exit(); }, 20_000);
        for (let i = 0; i < 300; i++) require("net").connect(3128, "127.0.0.1").on("error", () => {}).on("close", () => {
          if (++refused === 150) { console.log("most are refused"); process.exit(); }
        })'`;
      const report = await bench.build({ script, fixed: true });
      assert.equal(report.log, "most are refused\n");
    });

    test("has what programs need to use it, and keeps what the derivation sets", async () => {
      await using bench = await Bench.open(mode);
      const script =
        "ls /etc; cat /etc/nsswitch.conf; echo $https_proxy $HTTP_PROXY $no_proxy; : >/etc/services";
      const report = await bench.build({ script, fixed: true, env: { HTTP_PROXY: "mine" } });
      assert.match(
        report.log,
        /^group\nhosts\nnsswitch\.conf\npasswd\n(?:services\n)?(?:ssl\n)?hosts: files dns\nservices: files\n/,
      );
      assert.match(
        report.log,
        /http:\/\/127\.0\.0\.1:3128 mine localhost,127\.0\.0\.1,::1\n.*(?:Read-only|read-only|Permission)/,
      );
    });

    test("is told apart from one without", async () => {
      await using bench = await Bench.open(mode);
      const report = await bench.build({
        script: `echo "[$http_proxy]"; ls /etc/nsswitch.conf 2>/dev/null; ${client}`,
        env: { PORT: "1", ECHO: "1" },
      });
      assert.equal(report.log, "[]\nECONNREFUSED\nECONNREFUSED\n");
    });

    test("is cancelled as any other", async () => {
      await using bench = await Bench.open(mode);
      const report = await bench.build({
        script: "echo ready; sleep 1000",
        fixed: true,
        cancelAt: "ready",
      });
      assert.equal(report.error?.code, "build.cancelled");
      assert.deepEqual(report.left, []);
      for (const cancelAfter of [1, 15, 40]) {
        const early = await bench.build({ script: "sleep 1000", fixed: true, cancelAfter });
        assert.equal(early.error?.code, "build.cancelled");
        assert.deepEqual(early.left, []);
        assert.ok(early.durationMs < 3000, `${early.durationMs} ms`);
      }
    });
  });
}
