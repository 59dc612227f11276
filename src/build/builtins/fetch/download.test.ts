import assert from "node:assert/strict";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { describe, it } from "node:test";
import {
  breakingOff,
  close,
  contents,
  FetchBench,
  large,
  listen,
  ok,
  ranges,
  redirect,
  status,
} from "./bench.test.helper.ts";

const bench = new FetchBench();

const allOfLarge: RequestListener = (_request, response) => void response.end(large);

const closing: RequestListener = (_request, response) => void response.destroy();

const wrongRange: RequestListener = (_request, response) => {
  response.writeHead(206, { "content-range": "bytes 5-9/10" }).end("wrong");
};

describe("Download", () => {
  describe("follows redirects", () => {
    for (const code of [301, 302, 303, 307, 308]) {
      it(`of status ${code}, absolute and relative`, async () => {
        bench.answer = bench.inTurn(
          redirect("/b/c?x=1", code),
          redirect("../d#part", code),
          redirect(`${bench.base}/e`),
          ok,
        );
        assert.equal((await bench.fetched()).toString(), contents);
        const urls = bench.asked.map(({ url, method }) => `${method} ${url}`);
        assert.deepEqual(urls, ["GET /file", "GET /b/c?x=1", "GET /d", "GET /e"]);
      });
    }

    it("ten times, but not for ever", async () => {
      bench.answer = bench.inTurn(...Array.from({ length: 10 }, () => redirect("/next")), ok);
      assert.equal((await bench.fetched()).toString(), contents);
      bench.asked = [];
      bench.answer = redirect("/next");
      await bench.failure({}, { code: "fetch.redirect", message: /stopped after 10 redirects$/ });
      assert.equal(bench.asked.length, 11);
    });

    for (const location of ["file:///etc/passwd", "ftp://host/file", "data:,x", "javascript:1"]) {
      it(`but not to ${location}`, async () => {
        bench.answer = redirect(location);
        await bench.failure({}, { code: "fetch.url", message: /unsupported protocol scheme/ });
        assert.equal(bench.asked.length, 1);
      });
    }

    it("but not to what is no URL", async () => {
      bench.answer = redirect("http://[");
      await bench.failure({}, { code: "fetch.url" });
    });

    it("and takes one without location for a failure", async () => {
      bench.answer = status(302);
      await bench.failure({}, { code: "fetch.status", message: /returned HTTP 302 Found$/ });
    });

    it("only to hosts that are allowed", async () => {
      bench.answer = redirect("http://elsewhere.invalid/secret?key=1");
      await bench.failure(
        { options: { allowedHosts: ["127.0.0.1"] } },
        {
          code: "fetch.host",
          message: `${bench.base}/file led to it: "elsewhere.invalid" is not one of the hosts that are allowed`,
        },
      );
      bench.asked = [];
      await bench.failure({ options: { allowedHosts: ["*.example.org"] } }, { code: "fetch.host" });
      assert.equal(bench.asked.length, 0);
    });
  });

  describe("keeps secrets", () => {
    it("for the host they belong to", async () => {
      const other = createServer((_request, response) => {
        otherAuthorization = _request.headers.authorization;
        response.end(contents);
      });
      let otherAuthorization: string | undefined = "none yet";
      const elsewhere = await listen(other);
      try {
        bench.answer = bench.inTurn(redirect("/there"), redirect(`${elsewhere}/file`));
        assert.equal((await bench.fetched({ url: bench.withUser("/file") })).toString(), contents);
      } finally {
        await close(other);
      }
      const basic = `Basic ${Buffer.from("user:p@ss").toString("base64")}`;
      assert.deepEqual(
        bench.asked.map(({ headers }) => headers.authorization),
        [basic, basic],
      );
      assert.equal(otherAuthorization, undefined);
    });

    it("out of logs and messages", async () => {
      for (const listener of [
        status(404),
        status(500),
        redirect("file:///x"),
        redirect(bench.withUser("/loop")),
        (_request: IncomingMessage, response: ServerResponse) => response.destroy(),
        (_request: IncomingMessage, response: ServerResponse) => response.end("wrong"),
      ]) {
        bench.answer = listener;
        const task = await bench.failure(
          { url: bench.withUser("/file"), options: { attempts: 2 } },
          ({ message }: Error) => {
            assert.doesNotMatch(message, /user|p%40ss|p@ss/);
            return true;
          },
        );
        assert.doesNotMatch(task.logged(), /user|p%40ss|p@ss/);
      }
      await bench.failure(
        { url: "ftp://user:p%40ss@host/" },
        { message: 'Get "ftp://host/": unsupported protocol scheme "ftp"' },
      );
      await bench.failure({ url: "http://user:p%40ss@[" }, { message: '"http://[" is not a URL' });
    });

    it("out of messages about where a server led us", async () => {
      const closed = createServer();
      const gone = await listen(closed);
      await close(closed);
      bench.answer = redirect(`${gone}/file?signature=secret`);
      await bench.failure(
        { options: { attempts: 1 } },
        { message: `${bench.base}/file (redirected to ${gone}/file?…): connection refused` },
      );
    });
  });

  describe("tries again", () => {
    for (const code of [500, 502, 503, 504, 429, 408]) {
      it(`after status ${code}`, async () => {
        bench.answer = bench.inTurn(status(code), ok);
        const task = await bench.newTask({});
        await bench.run(task);
        assert.equal(bench.asked.length, 2);
        assert.match(task.logged(), /^builtin:fetchurl: .*; trying again in 0\.4 s\n$/);
      });
    }

    it("after a connection that is closed before, in and between answers", async () => {
      bench.answer = bench.inTurn(closing, breakingOff(1), breakingOff(200_000), allOfLarge);
      assert.ok((await bench.fetched({ data: large })).equals(large));
      assert.equal(bench.asked.length, 4);
    });

    it("ever more slowly, and not for ever", async () => {
      bench.answer = status(503);
      await bench.failure({}, { code: "fetch.status", message: /HTTP 503 Service Unavailable$/ });
      assert.deepEqual(bench.delays, [375, 750, 1500, 3000]);
    });

    it("when the server says, within reason", async () => {
      const clock = { now: () => Date.UTC(2030, 0, 1), monotonic: () => 0 };
      bench.answer = bench.inTurn(
        status(429, { "retry-after": "7" }),
        status(503, { "retry-after": "Tue, 01 Jan 2030 00:00:09 GMT" }),
        status(503, { "retry-after": "100000" }),
        status(503, { "retry-after": "soon" }),
        ok,
      );
      await bench.fetched({ options: { clock } });
      assert.deepEqual(bench.delays, [7000, 9000, 15_000, 3000]);
    });

    it("but not for another status", async () => {
      for (const code of [400, 401, 403, 404, 410]) {
        bench.asked = [];
        bench.answer = status(code);
        await bench.failure({}, { code: "fetch.status" });
        assert.equal(bench.asked.length, 1);
      }
    });

    it("when nobody listens", async () => {
      const closed = createServer();
      const url = await listen(closed);
      await close(closed);
      await bench.failure(
        { url },
        { code: "fetch.network", message: `${url}/: connection refused` },
      );
      assert.equal(bench.delays.length, 4);
    });
  });

  describe("goes on where it was broken off", () => {
    it("when the file is still the same", async () => {
      bench.answer = bench.inTurn(
        breakingOff(300_000, { etag: '"1"' }),
        (request_, response) => {
          const start = Number(/\d+/.exec(request_.headers.range ?? "")?.[0]);
          const range = `bytes ${start}-${large.length - 1}/${large.length}`;
          response.writeHead(206, { etag: '"1"', "content-range": range });
          response.write(large.subarray(start, start + 300_000), () => response.destroy());
        },
        ranges('"1"'),
      );
      assert.ok((await bench.fetched({ data: large })).equals(large));
      const [first, second, third] = bench.asked.map(({ headers }) => headers);
      assert.equal(first?.range, undefined);
      assert.match(second?.range ?? "", /^bytes=[1-9]\d*-$/);
      assert.match(third?.range ?? "", /^bytes=[1-9]\d*-$/);
      assert.notEqual(second?.range, third?.range);
      assert.equal(second?.["if-range"], '"1"');
      assert.equal(second?.["accept-encoding"], undefined);
    });

    it("by its date where it has no tag", async () => {
      const date = "Tue, 01 Jan 2030 00:00:00 GMT";
      bench.answer = bench.inTurn(
        breakingOff(300_000, { "last-modified": date, etag: 'W/"1"' }),
        ranges(date),
      );
      assert.ok((await bench.fetched({ data: large })).equals(large));
      assert.equal(bench.asked[1]?.headers["if-range"], date);
    });

    it("for recursive hashes, too", async () => {
      bench.answer = bench.inTurn(breakingOff(300_000, { etag: '"1"' }), ranges('"1"'));
      assert.ok((await bench.fetched({ data: large, method: "recursive" })).equals(large));
    });

    it("or from the beginning when it has changed", async () => {
      bench.answer = bench.inTurn(breakingOff(300_000, { etag: '"1"' }), ranges('"2"'));
      assert.ok((await bench.fetched({ data: large })).equals(large));
      assert.equal(bench.asked.length, 2);
    });

    for (const [name, headers] of [
      ["nothing tells whether it is the same", {}],
      ["its tag is weak", { etag: 'W/"1"' }],
      ["the server takes no ranges", { etag: '"1"', "accept-ranges": "none" }],
    ] as const) {
      it(`but from the beginning when ${name}`, async () => {
        bench.answer = bench.inTurn(breakingOff(300_000, headers), (_request, response) => {
          response.end(large);
        });
        assert.ok((await bench.fetched({ data: large })).equals(large));
        assert.equal(bench.asked[1]?.headers.range, undefined);
      });
    }

    it("but from the beginning when the server gives another range, or none", async () => {
      for (const bad of [wrongRange, status(416), status(206)]) {
        bench.asked = [];
        bench.answer = bench.inTurn(breakingOff(300_000, { etag: '"1"' }), bad, allOfLarge);
        assert.ok((await bench.fetched({ data: large })).equals(large));
        assert.deepEqual(
          bench.asked.map(({ headers }) => headers.range !== undefined),
          [false, true, false],
        );
      }
    });

    it("and from the beginning once more when the pieces do not fit together", async () => {
      const other = Buffer.alloc(large.length, "other");
      const lying: RequestListener = (request_, response) => {
        const start = Number(/\d+/.exec(request_.headers.range ?? "")?.[0]);
        const range = `bytes ${start}-${large.length - 1}/${large.length}`;
        response.writeHead(206, { "content-range": range }).end(other.subarray(start));
      };
      bench.answer = bench.inTurn(breakingOff(300_000, { etag: '"1"' }), lying, ranges('"1"'));
      assert.ok((await bench.fetched({ data: large })).equals(large));
      assert.equal(bench.asked.length, 3);
    });
  });

  describe("keeps to limits", () => {
    it("of size, announced", async () => {
      bench.answer = (_request, response) => void response.end(large);
      await bench.failure(
        { options: { maxBytes: large.length - 1 } },
        { code: "fetch.size", message: `${bench.base}/file has more than 999999 bytes` },
      );
      assert.ok(await bench.fetched({ data: large, options: { maxBytes: large.length } }));
    });

    it("of size, not announced", async () => {
      bench.answer = (_request, response) => {
        const more = (): void => void response.write(large, more);
        more();
      };
      await bench.failure({ options: { maxBytes: 5_000_000 } }, { code: "fetch.size" });
    });

    it("of the wait for an answer", async () => {
      bench.answer = () => undefined;
      await bench.failure(
        { options: { headersTimeout: 20, attempts: 1 } },
        { code: "fetch.timeout", message: `${bench.base}/file: no answer in time` },
      );
    });

    it("of silence", async () => {
      bench.answer = (_request, response) => void response.write("Hello");
      await bench.failure(
        { options: { idleTimeout: 20, attempts: 1 } },
        { code: "fetch.timeout", message: `${bench.base}/file: the server fell silent` },
      );
    });

    it("of time in all", async () => {
      bench.answer = () => undefined;
      await bench.failure(
        { options: { totalTimeout: 20 } },
        { code: "fetch.timeout", message: "not done after 0 s" },
      );
    });

    it("of headers", async () => {
      bench.answer = (_request, response) => {
        for (let i = 0; i < 100; i++) response.setHeader(`x-${i}`, "x".repeat(1000));
        response.end(contents);
      };
      await bench.failure(
        {},
        { code: "fetch.network", message: /the headers of the answer are too large/ },
      );
      assert.equal(bench.asked.length, 1);
    });
  });
});
