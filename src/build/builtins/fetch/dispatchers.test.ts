import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { close, contents, FetchBench, listen } from "./bench.test.helper.ts";
import { testCertificate, testKey } from "./certificate.test.helper.ts";

const bench = new FetchBench();

describe("Dispatchers", () => {
  describe("asks proxies", () => {
    let proxy: Server;
    let proxied: string[];
    let proxyURL: string;

    before(async () => {
      proxy = createServer((incoming, response) => {
        proxied.push(`${incoming.method} ${incoming.url}`);
        proxied.push(incoming.headers["proxy-authorization"] ?? "");
        const { pathname } = new URL(incoming.url ?? "");
        request(`${bench.base}${pathname}`, (from) => void from.pipe(response)).end();
      });
      proxy.on("connect", (incoming, socket) => {
        proxied.push(`${incoming.method} ${incoming.url}`);
        const to = connect(Number(new URL(bench.base).port), "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          to.pipe(socket).pipe(to);
        });
      });
      proxyURL = await listen(proxy);
    });
    beforeEach(() => {
      proxied = [];
    });
    after(async () => {
      await close(proxy);
    });

    const url = "http://somewhere.invalid/file";

    it("that the environment names, in either case, with or without scheme", async () => {
      for (const environment of [
        { HTTP_PROXY: proxyURL },
        { http_proxy: proxyURL },
        { HTTP_PROXY: "", http_proxy: proxyURL.replace("http://", "") },
      ] as Record<string, string>[]) {
        proxied = [];
        assert.equal((await bench.fetched({ url, environment })).toString(), contents);
        assert.deepEqual(proxied, [`GET ${url}`, ""]);
      }
    });

    it("with their password, which no one else sees", async () => {
      const environment = { HTTP_PROXY: proxyURL.replace("//", "//user:pass@") };
      assert.equal((await bench.fetched({ url, environment })).toString(), contents);
      assert.deepEqual(proxied, [
        `GET ${url}`,
        `Basic ${Buffer.from("user:pass").toString("base64")}`,
      ]);
      assert.equal(bench.asked[0]?.headers["proxy-authorization"], undefined);
    });

    it("but not for this machine, nor for hosts that are exempt", async () => {
      assert.ok(await bench.fetched({ environment: { HTTP_PROXY: proxyURL } }));
      const environment = { HTTP_PROXY: proxyURL, NO_PROXY: "example.org,.invalid" };
      await bench.failure({ url, environment }, { message: `${url}: there is no such host` });
      assert.deepEqual(proxied, []);
    });

    it("unless their address is none", async () => {
      for (const value of ["http://user:secret@:99999", "socks5://127.0.0.1:1"]) {
        await bench.failure(
          { url, environment: { HTTP_PROXY: value } },
          {
            kind: "internal",
            code: "fetch.proxy",
            message: "the environment variable HTTP_PROXY is not the URL of an http or https proxy",
          },
        );
      }
    });
  });

  describe("checks certificates", () => {
    let secure: Server;
    let proxy: Server;
    let secureBase: string;
    let proxyURL: string;
    let tunnels: string[];

    before(async () => {
      secure = createSecureServer({ key: testKey, cert: testCertificate }, (incoming, response) => {
        bench.asked.push(incoming);
        response.end(contents);
      });
      secureBase = (await listen(secure)).replace("http:", "https:");
      proxy = createServer();
      proxy.on("connect", (incoming, socket) => {
        tunnels.push(incoming.url ?? "");
        const to = connect(Number(new URL(secureBase).port), "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          to.on("error", () => undefined);
          socket.on("error", () => undefined);
          to.pipe(socket).pipe(to);
        });
      });
      proxyURL = await listen(proxy);
      await writeFile(join(bench.store.root, "ca.pem"), testCertificate);
    });
    beforeEach(() => {
      tunnels = [];
    });
    after(async () => {
      await close(secure);
      await close(proxy);
    });

    it("against those of the environment", async () => {
      const environment = { SSL_CERT_FILE: join(bench.store.root, "ca.pem") };
      assert.equal((await bench.fetched({ url: secureBase, environment })).toString(), contents);
    });

    it("and trusts no other, without trying twice", async () => {
      await bench.failure(
        { url: secureBase },
        { code: "fetch.certificate", message: /self-signed certificate/ },
      );
      assert.deepEqual([bench.asked.length, bench.delays.length], [0, 0]);
    });

    it("through proxies, too, and trusts none for another host", async () => {
      const url = "https://secure.invalid/file";
      const environment = {
        HTTPS_PROXY: proxyURL,
        SSL_CERT_FILE: join(bench.store.root, "ca.pem"),
      };
      assert.equal((await bench.fetched({ url, environment })).toString(), contents);
      await bench.failure(
        { url, environment: { HTTPS_PROXY: proxyURL } },
        { code: "fetch.certificate" },
      );
      const other = { url: "https://other.invalid/file", environment };
      await bench.failure(other, { code: "fetch.certificate" });
      assert.deepEqual(tunnels, ["secure.invalid:443", "secure.invalid:443", "other.invalid:443"]);
    });

    it("and asks the proxy for http about http only", async () => {
      const environment = { HTTP_PROXY: proxyURL };
      await bench.failure(
        { url: "https://secure.invalid/file", environment },
        { message: "https://secure.invalid/file: there is no such host" },
      );
      assert.deepEqual(tunnels, []);
    });

    it("and says when the file with them cannot be read", async () => {
      await bench.failure(
        { url: secureBase, environment: { SSL_CERT_FILE: join(bench.store.root, "none.pem") } },
        { code: "fetch.certificates", kind: "internal" },
      );
    });
  });
});
