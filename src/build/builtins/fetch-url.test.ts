import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import {
  createServer,
  type IncomingMessage,
  request,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { type ContentAddressMethod } from "../../format/content-address.ts";
import { hashBytes, type HashType, sha256 } from "../../format/hash.ts";
import { NarWriter } from "../../format/nar/writer.ts";
import { testCertificate, testKey } from "./certificate.test.helper.ts";
import { fetchURL, type FetchOptions } from "./fetch-url.ts";
import { type TestStore, type TestTask, testStore } from "./task.test.helper.ts";

const contents = "Hello over HTTP\n";
const large = randomBytes(1_000_000);

let store: TestStore;
let server: Server;
let base: string;
/** What the server does with a request; what it was asked, in order. */
let answer: RequestListener;
let asked: IncomingMessage[];

before(async () => {
  store = await testStore();
  server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  base = await listen(server);
});

beforeEach(() => {
  asked = [];
  answer = (_request, response) => void response.end(contents);
});

after(async () => {
  await close(server);
  await store[Symbol.asyncDispose]();
});

async function listen(listening: Server): Promise<string> {
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  const address = listening.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

async function close(listening: Server): Promise<void> {
  listening.closeAllConnections();
  listening.close();
  await once(listening, "close");
}

interface Settings {
  readonly url?: string;
  readonly urls?: string;
  readonly executable?: string;
  readonly data?: string | Buffer;
  readonly method?: ContentAddressMethod;
  readonly hashType?: HashType;
  readonly options?: Partial<FetchOptions>;
  readonly environment?: Record<string, string>;
  readonly signal?: AbortSignal;
}

function narOf(data: Buffer, executable: boolean): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => void chunks.push(Buffer.from(chunk)));
  writer.file("", executable, data.length);
  writer.data(data);
  writer.endFile();
  writer.end();
  return Buffer.concat(chunks);
}

function hashFor({ data, method, hashType, executable }: Settings): ReturnType<typeof sha256> {
  const bytes = Buffer.from(data ?? contents);
  const type = hashType ?? "sha256";
  if (method !== "recursive") return hashBytes(type, bytes);
  const nar = narOf(bytes, (executable ?? "") !== "");
  return hashBytes(type, type === "sha256" ? Buffer.concat([nar, Buffer.from("|")]) : nar);
}

async function newTask(settings: Settings): Promise<TestTask> {
  const { url = `${base}/file`, urls = "", executable = "", method = "flat" } = settings;
  const ca = { method, hash: hashFor(settings) };
  return await store.task(
    "builtin:fetchurl",
    { url, urls, executable },
    { output: { type: "fixed", ca } },
  );
}

/** Delays that were slept through in tests: none is waited for. */
let delays: number[] = [];

async function runTask(task: TestTask, settings: Settings = {}): Promise<void> {
  delays = [];
  const sleep: FetchOptions["sleep"] = async (ms, signal) => {
    delays.push(ms);
    signal.throwIfAborted();
  };
  const context = {
    environment: settings.environment ?? {},
    signal: settings.signal ?? new AbortController().signal,
  };
  await fetchURL(task, context, { sleep, random: () => 0.5, ...settings.options });
}

async function fetched(settings: Settings = {}): Promise<Buffer> {
  const task = await newTask(settings);
  await runTask(task, settings);
  return await readFile(task.output);
}

/** Runs it to its failure; nothing may be left of the file then. */
async function failure(settings: Settings, expected: object): Promise<TestTask> {
  const task = await newTask(settings);
  await assert.rejects(runTask(task, settings), expected);
  assert.deepEqual(await readdir(dirname(task.output)), []);
  return task;
}

/** Answers requests one after the other; the last answer serves all further ones. */
function inTurn(...answers: RequestListener[]): RequestListener {
  return (request_, response) =>
    answers[Math.min(asked.length, answers.length) - 1]?.(request_, response);
}

const ok: RequestListener = (_request, response) => void response.end(contents);

const allOfLarge: RequestListener = (_request, response) => void response.end(large);

const closing: RequestListener = (_request, response) => void response.destroy();

const gzip: RequestListener = (_request, response) => {
  response.setHeader("content-encoding", "gzip").end(gzipSync(contents));
};

const wrongRange: RequestListener = (_request, response) => {
  response.writeHead(206, { "content-range": "bytes 5-9/10" }).end("wrong");
};

/** A URL of the server with a password in it. */
function withUser(path: string): string {
  return `${base.replace("//", "//user:p%40ss@")}${path}`;
}

function status(code: number, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => void response.writeHead(code, headers).end("no");
}

function redirect(location: string, code = 302): RequestListener {
  return (_request, response) => void response.writeHead(code, { location }).end("elsewhere");
}

/** Begins an answer of the whole of `large` and breaks off. */
function breakingOff(at: number, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => {
    response.writeHead(200, { "content-length": String(large.length), ...headers });
    response.write(large.subarray(0, at), () => response.destroy());
  };
}

/** Answers ranges of `large`, as long as it is what the client has. */
function ranges(tag: string): RequestListener {
  return (request_, response) => {
    const start = /^bytes=(\d+)-$/.exec(request_.headers.range ?? "")?.[1];
    if (start === undefined || request_.headers["if-range"] !== tag) {
      response.writeHead(200, { etag: tag }).end(large);
      return;
    }
    const range = `bytes ${start}-${large.length - 1}/${large.length}`;
    response
      .writeHead(206, { etag: tag, "content-range": range })
      .end(large.subarray(Number(start)));
  };
}

describe("builtin:fetchurl", () => {
  it("downloads a file", async () => {
    const task = await newTask({});
    await runTask(task);
    assert.equal(await readFile(task.output, "utf8"), contents);
    assert.equal((await stat(task.output)).mode & 0o7777, 0o644);
    assert.equal(task.logged(), "");
    assert.deepEqual(
      asked.map(({ method, url, headers }) => {
        return [method, url, headers["user-agent"], headers.accept, headers["accept-encoding"]];
      }),
      [["GET", "/file", "zb", "*/*", "gzip"]],
    );
    assert.equal(asked[0]?.headers.authorization, undefined);
  });

  it("downloads large and empty files, with and without announced length", async () => {
    for (const data of [large, Buffer.alloc(0)]) {
      answer = (_request, response) => void response.end(data);
      assert.ok((await fetched({ data })).equals(data));
      answer = (_request, response) => {
        response.write(data.subarray(0, 1000));
        response.end(data.subarray(1000));
      };
      assert.ok((await fetched({ data })).equals(data));
    }
  });

  it("takes 204 for an empty file", async () => {
    answer = (_request, response) => void response.writeHead(204).end();
    assert.equal((await fetched({ data: "" })).length, 0);
  });

  for (const hashType of ["md5", "sha1", "sha256", "sha512"] as const) {
    for (const method of ["flat", "recursive", "text"] as const) {
      it(`checks ${method} ${hashType} hashes`, async () => {
        const hash = { hashType, method };
        assert.equal((await fetched(hash)).toString(), contents);
        answer = (_request, response) => void response.end("something else");
        const wanted = hashFor(hash).sri();
        const got = hashFor({ ...hash, data: "something else" }).sri();
        await failure(hash, {
          code: "fetch.hash",
          kind: "builder",
          message: `${base}/file is not what was declared: wanted ${wanted}, got ${got}`,
        });
      });
    }
  }

  it("makes a file with a recursive hash executable when asked to", async () => {
    const task = await newTask({ executable: "1", method: "recursive" });
    await runTask(task);
    assert.equal((await stat(task.output)).mode & 0o7777, 0o755);
    await failure(
      { executable: "1", method: "flat" },
      { code: "fetch.output", message: "an executable needs an output with a recursive hash" },
    );
  });

  it("fails as zb does without url, without fixed output, and for other schemes", async () => {
    await failure({ url: "" }, { message: "missing url environment variable" });
    const floating = await store.task("builtin:fetchurl", { url: base });
    await assert.rejects(runTask(floating), { message: "output is not fixed" });
    await failure(
      { url: "file:///etc/hostname" },
      { message: 'Get "file:///etc/hostname": unsupported protocol scheme "file"' },
    );
    await failure({ url: "http://[" }, { message: '"http://[" is not a URL' });
    assert.equal(asked.length, 0);
  });

  it("fails at once for a status that will not change", async () => {
    answer = status(404);
    await failure(
      {},
      { code: "fetch.status", message: `${base}/file returned HTTP 404 Not Found` },
    );
    assert.equal(asked.length, 1);
  });

  it("does not write over what is there, nor through a link", async () => {
    const task = await newTask({});
    await symlink("elsewhere", task.output);
    await assert.rejects(runTask(task), { code: "EEXIST" });
    assert.deepEqual(await readdir(dirname(task.output)), ["out"]);
  });

  describe("decodes", () => {
    it("gzip", async () => {
      answer = gzip;
      assert.equal((await fetched()).toString(), contents);
      answer = (_request, response) => {
        response.setHeader("content-encoding", "GZIP").end(gzipSync(contents));
      };
      assert.equal((await fetched()).toString(), contents);
    });

    it("an empty body, whatever its encoding", async () => {
      answer = (_request, response) => {
        response.writeHead(200, { "content-encoding": "gzip", "content-length": "0" }).end();
      };
      assert.equal((await fetched({ data: "" })).length, 0);
    });

    it("no other encoding", async () => {
      answer = (_request, response) =>
        void response.setHeader("content-encoding", "x").end(contents);
      assert.equal((await fetched()).toString(), contents);
    });

    it("gzip that is cut short, at the next try", async () => {
      const cut: RequestListener = (_request, response) => {
        response.setHeader("content-encoding", "gzip").end(gzipSync(contents).subarray(0, -5));
      };
      answer = inTurn(cut, gzip);
      assert.equal((await fetched()).toString(), contents);
      assert.equal(asked.length, 2);
    });

    it("no bomb", async () => {
      const data = gzipSync(Buffer.alloc(10 << 20));
      answer = (_request, response) =>
        void response.setHeader("content-encoding", "gzip").end(data);
      await failure({ options: { maxBytes: 1 << 20 } }, { code: "fetch.size" });
    });
  });

  describe("follows redirects", () => {
    for (const code of [301, 302, 303, 307, 308]) {
      it(`of status ${code}, absolute and relative`, async () => {
        answer = inTurn(
          redirect("/b/c?x=1", code),
          redirect("../d#part", code),
          redirect(`${base}/e`),
          ok,
        );
        assert.equal((await fetched()).toString(), contents);
        const urls = asked.map(({ url, method }) => `${method} ${url}`);
        assert.deepEqual(urls, ["GET /file", "GET /b/c?x=1", "GET /d", "GET /e"]);
      });
    }

    it("ten times, but not for ever", async () => {
      answer = inTurn(...Array.from({ length: 10 }, () => redirect("/next")), ok);
      assert.equal((await fetched()).toString(), contents);
      asked = [];
      answer = redirect("/next");
      await failure({}, { code: "fetch.redirect", message: /stopped after 10 redirects$/ });
      assert.equal(asked.length, 11);
    });

    for (const location of ["file:///etc/passwd", "ftp://host/file", "data:,x", "javascript:1"]) {
      it(`but not to ${location}`, async () => {
        answer = redirect(location);
        await failure({}, { code: "fetch.url", message: /unsupported protocol scheme/ });
        assert.equal(asked.length, 1);
      });
    }

    it("but not to what is no URL", async () => {
      answer = redirect("http://[");
      await failure({}, { code: "fetch.url" });
    });

    it("and takes one without location for a failure", async () => {
      answer = status(302);
      await failure({}, { code: "fetch.status", message: /returned HTTP 302 Found$/ });
    });

    it("only to hosts that are allowed", async () => {
      answer = redirect("http://elsewhere.invalid/secret?key=1");
      await failure(
        { options: { allowedHosts: ["127.0.0.1"] } },
        {
          code: "fetch.host",
          message: `${base}/file led to it: "elsewhere.invalid" is not one of the hosts that are allowed`,
        },
      );
      asked = [];
      await failure({ options: { allowedHosts: ["*.example.org"] } }, { code: "fetch.host" });
      assert.equal(asked.length, 0);
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
        answer = inTurn(redirect("/there"), redirect(`${elsewhere}/file`));
        assert.equal((await fetched({ url: withUser("/file") })).toString(), contents);
      } finally {
        await close(other);
      }
      const basic = `Basic ${Buffer.from("user:p@ss").toString("base64")}`;
      assert.deepEqual(
        asked.map(({ headers }) => headers.authorization),
        [basic, basic],
      );
      assert.equal(otherAuthorization, undefined);
    });

    it("out of logs and messages", async () => {
      for (const listener of [
        status(404),
        status(500),
        redirect("file:///x"),
        redirect(withUser("/loop")),
        (_request: IncomingMessage, response: ServerResponse) => response.destroy(),
        (_request: IncomingMessage, response: ServerResponse) => response.end("wrong"),
      ]) {
        answer = listener;
        const task = await failure(
          { url: withUser("/file"), options: { attempts: 2 } },
          ({ message }: Error) => {
            assert.doesNotMatch(message, /user|p%40ss|p@ss/);
            return true;
          },
        );
        assert.doesNotMatch(task.logged(), /user|p%40ss|p@ss/);
      }
      await failure(
        { url: "ftp://user:p%40ss@host/" },
        { message: 'Get "ftp://host/": unsupported protocol scheme "ftp"' },
      );
      await failure({ url: "http://user:p%40ss@[" }, { message: '"http://[" is not a URL' });
    });

    it("out of messages about where a server led us", async () => {
      const closed = createServer();
      const gone = await listen(closed);
      await close(closed);
      answer = redirect(`${gone}/file?signature=secret`);
      await failure(
        { options: { attempts: 1 } },
        { message: `${base}/file (redirected to ${gone}/file?…): connection refused` },
      );
    });
  });

  describe("tries again", () => {
    for (const code of [500, 502, 503, 504, 429, 408]) {
      it(`after status ${code}`, async () => {
        answer = inTurn(status(code), ok);
        const task = await newTask({});
        await runTask(task);
        assert.equal(asked.length, 2);
        assert.match(task.logged(), /^builtin:fetchurl: .*; trying again in 0\.4 s\n$/);
      });
    }

    it("after a connection that is closed before, in and between answers", async () => {
      answer = inTurn(closing, breakingOff(1), breakingOff(200_000), allOfLarge);
      assert.ok((await fetched({ data: large })).equals(large));
      assert.equal(asked.length, 4);
    });

    it("ever more slowly, and not for ever", async () => {
      answer = status(503);
      await failure({}, { code: "fetch.status", message: /HTTP 503 Service Unavailable$/ });
      assert.deepEqual(delays, [375, 750, 1500, 3000]);
    });

    it("when the server says, within reason", async () => {
      const clock = { now: () => Date.UTC(2030, 0, 1), monotonic: () => 0 };
      answer = inTurn(
        status(429, { "retry-after": "7" }),
        status(503, { "retry-after": "Tue, 01 Jan 2030 00:00:09 GMT" }),
        status(503, { "retry-after": "100000" }),
        status(503, { "retry-after": "soon" }),
        ok,
      );
      await fetched({ options: { clock } });
      assert.deepEqual(delays, [7000, 9000, 15_000, 3000]);
    });

    it("but not for another status", async () => {
      for (const code of [400, 401, 403, 404, 410]) {
        asked = [];
        answer = status(code);
        await failure({}, { code: "fetch.status" });
        assert.equal(asked.length, 1);
      }
    });

    it("when nobody listens", async () => {
      const closed = createServer();
      const url = await listen(closed);
      await close(closed);
      await failure({ url }, { code: "fetch.network", message: `${url}/: connection refused` });
      assert.equal(delays.length, 4);
    });
  });

  describe("goes on where it was broken off", () => {
    it("when the file is still the same", async () => {
      answer = inTurn(
        breakingOff(300_000, { etag: '"1"' }),
        (request_, response) => {
          const start = Number(/\d+/.exec(request_.headers.range ?? "")?.[0]);
          const range = `bytes ${start}-${large.length - 1}/${large.length}`;
          response.writeHead(206, { etag: '"1"', "content-range": range });
          response.write(large.subarray(start, start + 300_000), () => response.destroy());
        },
        ranges('"1"'),
      );
      assert.ok((await fetched({ data: large })).equals(large));
      const [first, second, third] = asked.map(({ headers }) => headers);
      assert.equal(first?.range, undefined);
      assert.match(second?.range ?? "", /^bytes=[1-9]\d*-$/);
      assert.match(third?.range ?? "", /^bytes=[1-9]\d*-$/);
      assert.notEqual(second?.range, third?.range);
      assert.equal(second?.["if-range"], '"1"');
      assert.equal(second?.["accept-encoding"], undefined);
    });

    it("by its date where it has no tag", async () => {
      const date = "Tue, 01 Jan 2030 00:00:00 GMT";
      answer = inTurn(breakingOff(300_000, { "last-modified": date, etag: 'W/"1"' }), ranges(date));
      assert.ok((await fetched({ data: large })).equals(large));
      assert.equal(asked[1]?.headers["if-range"], date);
    });

    it("for recursive hashes, too", async () => {
      answer = inTurn(breakingOff(300_000, { etag: '"1"' }), ranges('"1"'));
      assert.ok((await fetched({ data: large, method: "recursive" })).equals(large));
    });

    it("or from the beginning when it has changed", async () => {
      answer = inTurn(breakingOff(300_000, { etag: '"1"' }), ranges('"2"'));
      assert.ok((await fetched({ data: large })).equals(large));
      assert.equal(asked.length, 2);
    });

    for (const [name, headers] of [
      ["nothing tells whether it is the same", {}],
      ["its tag is weak", { etag: 'W/"1"' }],
      ["the server takes no ranges", { etag: '"1"', "accept-ranges": "none" }],
    ] as const) {
      it(`but from the beginning when ${name}`, async () => {
        answer = inTurn(breakingOff(300_000, headers), (_request, response) => {
          response.end(large);
        });
        assert.ok((await fetched({ data: large })).equals(large));
        assert.equal(asked[1]?.headers.range, undefined);
      });
    }

    it("but from the beginning when the server gives another range, or none", async () => {
      for (const bad of [wrongRange, status(416), status(206)]) {
        asked = [];
        answer = inTurn(breakingOff(300_000, { etag: '"1"' }), bad, allOfLarge);
        assert.ok((await fetched({ data: large })).equals(large));
        assert.deepEqual(
          asked.map(({ headers }) => headers.range !== undefined),
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
      answer = inTurn(breakingOff(300_000, { etag: '"1"' }), lying, ranges('"1"'));
      assert.ok((await fetched({ data: large })).equals(large));
      assert.equal(asked.length, 3);
    });
  });

  describe("goes on to mirrors", () => {
    it("in their order", async () => {
      answer = inTurn(status(404), status(410), ok);
      const task = await newTask({ urls: ` ${base}/file ${base}/b\n${base}/c  ${base}/d ` });
      await runTask(task);
      assert.deepEqual(
        asked.map(({ url }) => url),
        ["/file", "/b", "/c"],
      );
      assert.equal(
        task.logged(),
        `builtin:fetchurl: ${base}/file returned HTTP 404 Not Found; trying the next mirror\n` +
          `builtin:fetchurl: ${base}/b returned HTTP 410 Gone; trying the next mirror\n`,
      );
    });

    it("when a file is another one, too large, or cannot be fetched that way", async () => {
      answer = inTurn(
        (_request, response) => void response.end("something else, longer"),
        (_request, response) => void response.writeHead(200, { "content-length": "99999" }).end(),
        ok,
      );
      const urls = `${base}/a ftp://host/file ${base}/b`;
      const options = { maxBytes: 1000 };
      assert.equal((await fetched({ urls, options })).toString(), contents);
    });

    it("and says of each what was wrong with it", async () => {
      answer = inTurn(status(404), (_request, response) => void response.end("wrong"));
      await failure(
        { urls: `${base}/b` },
        {
          code: "fetch.hash",
          message: /\/file returned HTTP 404 Not Found; .*\/b is not what was declared: wanted /,
        },
      );
    });
  });

  describe("keeps to limits", () => {
    it("of size, announced", async () => {
      answer = (_request, response) => void response.end(large);
      await failure(
        { options: { maxBytes: large.length - 1 } },
        { code: "fetch.size", message: `${base}/file has more than 999999 bytes` },
      );
      assert.ok(await fetched({ data: large, options: { maxBytes: large.length } }));
    });

    it("of size, not announced", async () => {
      answer = (_request, response) => {
        const more = (): void => void response.write(large, more);
        more();
      };
      await failure({ options: { maxBytes: 5_000_000 } }, { code: "fetch.size" });
    });

    it("of the wait for an answer", async () => {
      answer = () => undefined;
      await failure(
        { options: { headersTimeout: 20, attempts: 1 } },
        { code: "fetch.timeout", message: `${base}/file: no answer in time` },
      );
    });

    it("of silence", async () => {
      answer = (_request, response) => void response.write("Hello");
      await failure(
        { options: { idleTimeout: 20, attempts: 1 } },
        { code: "fetch.timeout", message: `${base}/file: the server fell silent` },
      );
    });

    it("of time in all", async () => {
      answer = () => undefined;
      await failure(
        { options: { totalTimeout: 20 } },
        { code: "fetch.timeout", message: "not done after 0 s" },
      );
    });

    it("of headers", async () => {
      answer = (_request, response) => {
        for (let i = 0; i < 100; i++) response.setHeader(`x-${i}`, "x".repeat(1000));
        response.end(contents);
      };
      await failure(
        {},
        { code: "fetch.network", message: /the headers of the answer are too large/ },
      );
      assert.equal(asked.length, 1);
    });
  });

  describe("ends at once when cancelled", () => {
    const reason = new Error("cancelled by the test");

    it("before it begins", async () => {
      await failure({ signal: AbortSignal.abort(reason) }, reason);
      assert.equal(asked.length, 0);
    });

    it("while it waits for an answer", async () => {
      const controller = new AbortController();
      answer = () => controller.abort(reason);
      await failure({ signal: controller.signal }, reason);
    });

    it("in the middle of the contents", async () => {
      const controller = new AbortController();
      const gone = Promise.withResolvers<void>();
      answer = (_request, response) => {
        response.on("close", gone.resolve);
        response.write(large, () => controller.abort(reason));
      };
      await failure({ signal: controller.signal }, reason);
      await gone.promise;
    });

    it("while it waits for the next try", async () => {
      const controller = new AbortController();
      answer = status(500);
      const sleep: FetchOptions["sleep"] = async (_ms, signal) => {
        controller.abort(reason);
        signal.throwIfAborted();
      };
      await failure({ signal: controller.signal, options: { sleep } }, reason);
    });
  });

  describe("asks proxies", () => {
    let proxy: Server;
    let proxied: string[];
    let proxyURL: string;

    before(async () => {
      proxy = createServer((incoming, response) => {
        proxied.push(`${incoming.method} ${incoming.url}`);
        proxied.push(incoming.headers["proxy-authorization"] ?? "");
        const { pathname } = new URL(incoming.url ?? "");
        request(`${base}${pathname}`, (from) => void from.pipe(response)).end();
      });
      proxy.on("connect", (incoming, socket) => {
        proxied.push(`${incoming.method} ${incoming.url}`);
        const to = connect(Number(new URL(base).port), "127.0.0.1", () => {
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
        assert.equal((await fetched({ url, environment })).toString(), contents);
        assert.deepEqual(proxied, [`GET ${url}`, ""]);
      }
    });

    it("with their password, which no one else sees", async () => {
      const environment = { HTTP_PROXY: proxyURL.replace("//", "//user:pass@") };
      assert.equal((await fetched({ url, environment })).toString(), contents);
      assert.deepEqual(proxied, [
        `GET ${url}`,
        `Basic ${Buffer.from("user:pass").toString("base64")}`,
      ]);
      assert.equal(asked[0]?.headers["proxy-authorization"], undefined);
    });

    it("but not for this machine, nor for hosts that are exempt", async () => {
      assert.ok(await fetched({ environment: { HTTP_PROXY: proxyURL } }));
      const environment = { HTTP_PROXY: proxyURL, NO_PROXY: "example.org,.invalid" };
      await failure({ url, environment }, { message: `${url}: there is no such host` });
      assert.deepEqual(proxied, []);
    });

    it("unless their address is none", async () => {
      const environment = { HTTP_PROXY: "http://user:secret@:99999" };
      await failure(
        { url, environment },
        {
          kind: "internal",
          code: "fetch.proxy",
          message: "the environment variable HTTP_PROXY is not the URL of a proxy",
        },
      );
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
        asked.push(incoming);
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
      await writeFile(join(store.root, "ca.pem"), testCertificate);
    });
    beforeEach(() => {
      tunnels = [];
    });
    after(async () => {
      await close(secure);
      await close(proxy);
    });

    it("against those of the environment", async () => {
      const environment = { SSL_CERT_FILE: join(store.root, "ca.pem") };
      assert.equal((await fetched({ url: secureBase, environment })).toString(), contents);
    });

    it("and trusts no other, without trying twice", async () => {
      await failure(
        { url: secureBase },
        { code: "fetch.certificate", message: /self-signed certificate/ },
      );
      assert.deepEqual([asked.length, delays.length], [0, 0]);
    });

    it("through proxies, too, and trusts none for another host", async () => {
      const url = "https://secure.invalid/file";
      const environment = { HTTPS_PROXY: proxyURL, SSL_CERT_FILE: join(store.root, "ca.pem") };
      assert.equal((await fetched({ url, environment })).toString(), contents);
      await failure({ url, environment: { HTTPS_PROXY: proxyURL } }, { code: "fetch.certificate" });
      const other = { url: "https://other.invalid/file", environment };
      await failure(other, { code: "fetch.certificate" });
      assert.deepEqual(tunnels, ["secure.invalid:443", "secure.invalid:443", "other.invalid:443"]);
    });

    it("and asks the proxy for http about http only", async () => {
      const environment = { HTTP_PROXY: proxyURL };
      await failure(
        { url: "https://secure.invalid/file", environment },
        { message: "https://secure.invalid/file: there is no such host" },
      );
      assert.deepEqual(tunnels, []);
    });

    it("and says when the file with them cannot be read", async () => {
      await failure(
        { url: secureBase, environment: { SSL_CERT_FILE: join(store.root, "none.pem") } },
        { code: "fetch.certificates", kind: "internal" },
      );
    });
  });

  it("tells how far it is, not too often", async () => {
    let time = 0;
    const clock = { now: () => 0, monotonic: () => (time += 100) };
    answer = (_request, response) => void response.end(large);
    const task = await newTask({ data: large });
    await runTask(task, { options: { clock } });
    const { length } = large;
    assert.deepEqual(task.phases[0], ["download", 0, length, "B"]);
    assert.deepEqual(task.phases.at(-1), ["download", length, length, "B"]);
    assert.ok(
      task.phases.every(([, done = 0], i) => i === 0 || done > (task.phases[i - 1]?.[1] ?? 0)),
    );
    assert.ok(task.phases.length <= time / 300 + 2);
  });

  it("leaves no connection behind", async () => {
    await fetched();
    await failure({ data: "x" }, { code: "fetch.hash" });
    const count = await new Promise<number>((resolve, reject) => {
      server.getConnections((error, n) => (error === null ? resolve(n) : reject(error)));
    });
    assert.ok(count <= 2);
  });
});
