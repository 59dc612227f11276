import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile, stat, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import type { RequestListener } from "node:http";
import { contents, FetchBench, hashFor, large, ok, status } from "./fetch/bench.test.helper.ts";
import type { FetchOptions } from "./fetch-url.ts";

const bench = new FetchBench();

const gzip: RequestListener = (_request, response) => {
  response.setHeader("content-encoding", "gzip").end(gzipSync(contents));
};

const cutShort: RequestListener = (_request, response) => {
  response.setHeader("content-encoding", "gzip").end(gzipSync(contents).subarray(0, -5));
};

describe("builtin:fetchurl", () => {
  it("downloads a file", async () => {
    const task = await bench.newTask({});
    await bench.run(task);
    assert.equal(await readFile(task.output, "utf8"), contents);
    assert.equal((await stat(task.output)).mode & 0o7777, 0o644);
    assert.equal(task.logged(), "");
    assert.deepEqual(
      bench.asked.map(({ method, url, headers }) => {
        return [method, url, headers["user-agent"], headers.accept, headers["accept-encoding"]];
      }),
      [["GET", "/file", "zb", "*/*", "gzip"]],
    );
    assert.equal(bench.asked[0]?.headers.authorization, undefined);
  });

  it("downloads large and empty files, with and without announced length", async () => {
    for (const data of [large, Buffer.alloc(0)]) {
      bench.answer = (_request, response) => void response.end(data);
      assert.ok((await bench.fetched({ data })).equals(data));
      bench.answer = (_request, response) => {
        response.write(data.subarray(0, 1000));
        response.end(data.subarray(1000));
      };
      assert.ok((await bench.fetched({ data })).equals(data));
    }
  });

  it("takes 204 for an empty file", async () => {
    bench.answer = (_request, response) => void response.writeHead(204).end();
    assert.equal((await bench.fetched({ data: "" })).length, 0);
  });

  for (const hashType of ["md5", "sha1", "sha256", "sha512"] as const) {
    for (const method of ["flat", "recursive", "text"] as const) {
      it(`checks ${method} ${hashType} hashes`, async () => {
        const hash = { hashType, method };
        assert.equal((await bench.fetched(hash)).toString(), contents);
        bench.answer = (_request, response) => void response.end("something else");
        const wanted = hashFor(hash).sri();
        const got = hashFor({ ...hash, data: "something else" }).sri();
        await bench.failure(hash, {
          code: "fetch.hash",
          kind: "builder",
          message: `${bench.base}/file is not what was declared: wanted ${wanted}, got ${got}`,
        });
      });
    }
  }

  it("makes a file with a recursive hash executable when bench.asked to", async () => {
    const task = await bench.newTask({ executable: "1", method: "recursive" });
    await bench.run(task);
    assert.equal((await stat(task.output)).mode & 0o7777, 0o755);
    await bench.failure(
      { executable: "1", method: "flat" },
      { code: "fetch.output", message: "an executable needs an output with a recursive hash" },
    );
  });

  it("fails as zb does without url, without fixed output, and for other schemes", async () => {
    await bench.failure({ url: "" }, { message: "missing url environment variable" });
    const floating = await bench.store.task("builtin:fetchurl", { url: bench.base });
    await assert.rejects(bench.run(floating), { message: "output is not fixed" });
    await bench.failure(
      { url: "file:///etc/hostname" },
      { message: 'Get "file:///etc/hostname": unsupported protocol scheme "file"' },
    );
    await bench.failure({ url: "http://[" }, { message: '"http://[" is not a URL' });
    assert.equal(bench.asked.length, 0);
  });

  it("fails at once for a status that will not change", async () => {
    bench.answer = status(404);
    await bench.failure(
      {},
      { code: "fetch.status", message: `${bench.base}/file returned HTTP 404 Not Found` },
    );
    assert.equal(bench.asked.length, 1);
  });

  it("does not write over what is there, nor through a link", async () => {
    const task = await bench.newTask({});
    await symlink("elsewhere", task.output);
    await assert.rejects(bench.run(task), { code: "EEXIST" });
    assert.deepEqual(await readdir(dirname(task.output)), ["out"]);
  });

  describe("decodes", () => {
    it("gzip", async () => {
      bench.answer = gzip;
      assert.equal((await bench.fetched()).toString(), contents);
      bench.answer = (_request, response) => {
        response.setHeader("content-encoding", "GZIP").end(gzipSync(contents));
      };
      assert.equal((await bench.fetched()).toString(), contents);
    });

    it("an empty body, whatever its encoding", async () => {
      bench.answer = (_request, response) => {
        response.writeHead(200, { "content-encoding": "gzip", "content-length": "0" }).end();
      };
      assert.equal((await bench.fetched({ data: "" })).length, 0);
    });

    it("no other encoding", async () => {
      bench.answer = (_request, response) =>
        void response.setHeader("content-encoding", "x").end(contents);
      assert.equal((await bench.fetched()).toString(), contents);
    });

    it("gzip that is cut short, at the next try", async () => {
      bench.answer = bench.inTurn(cutShort, gzip);
      assert.equal((await bench.fetched()).toString(), contents);
      assert.equal(bench.asked.length, 2);
    });

    it("no bomb", async () => {
      const data = gzipSync(Buffer.alloc(10 << 20));
      bench.answer = (_request, response) =>
        void response.setHeader("content-encoding", "gzip").end(data);
      await bench.failure({ options: { maxBytes: 1 << 20 } }, { code: "fetch.size" });
    });
  });

  describe("goes on to mirrors", () => {
    it("in their order", async () => {
      bench.answer = bench.inTurn(status(404), status(410), ok);
      const task = await bench.newTask({
        urls: ` ${bench.base}/file ${bench.base}/b\n${bench.base}/c  ${bench.base}/d `,
      });
      await bench.run(task);
      assert.deepEqual(
        bench.asked.map(({ url }) => url),
        ["/file", "/b", "/c"],
      );
      assert.equal(
        task.logged(),
        `builtin:fetchurl: ${bench.base}/file returned HTTP 404 Not Found; trying the next mirror\n` +
          `builtin:fetchurl: ${bench.base}/b returned HTTP 410 Gone; trying the next mirror\n`,
      );
    });

    it("when a file is another one, too large, or cannot be fetched that way", async () => {
      bench.answer = bench.inTurn(
        (_request, response) => void response.end("something else, longer"),
        (_request, response) => void response.writeHead(200, { "content-length": "99999" }).end(),
        ok,
      );
      const urls = `${bench.base}/a ftp://host/file ${bench.base}/b`;
      const options = { maxBytes: 1000 };
      assert.equal((await bench.fetched({ urls, options })).toString(), contents);
    });

    it("and says of each what was wrong with it", async () => {
      bench.answer = bench.inTurn(status(404), (_request, response) => void response.end("wrong"));
      await bench.failure(
        { urls: `${bench.base}/b` },
        {
          code: "fetch.hash",
          message: /\/file returned HTTP 404 Not Found; .*\/b is not what was declared: wanted /,
        },
      );
    });
  });

  describe("ends at once when cancelled", () => {
    const reason = new Error("cancelled by the test");

    it("before it begins", async () => {
      await bench.failure({ signal: AbortSignal.abort(reason) }, reason);
      assert.equal(bench.asked.length, 0);
    });

    it("while it waits for an answer", async () => {
      const controller = new AbortController();
      bench.answer = () => controller.abort(reason);
      await bench.failure({ signal: controller.signal }, reason);
    });

    it("in the middle of the contents", async () => {
      const controller = new AbortController();
      const gone = Promise.withResolvers<void>();
      bench.answer = (_request, response) => {
        response.on("close", gone.resolve);
        response.write(large, () => controller.abort(reason));
      };
      await bench.failure({ signal: controller.signal }, reason);
      await gone.promise;
    });

    it("while it waits for the next try", async () => {
      const controller = new AbortController();
      bench.answer = status(500);
      const sleep: FetchOptions["sleep"] = async (_ms, signal) => {
        controller.abort(reason);
        signal.throwIfAborted();
      };
      await bench.failure({ signal: controller.signal, options: { sleep } }, reason);
    });
  });

  it("tells how far it is, not too often", async () => {
    let time = 0;
    const clock = { now: () => 0, monotonic: () => (time += 100) };
    bench.answer = (_request, response) => void response.end(large);
    const task = await bench.newTask({ data: large });
    await bench.run(task, { options: { clock } });
    const { length } = large;
    assert.deepEqual(task.phases[0], ["download", 0, length, "B"]);
    assert.deepEqual(task.phases.at(-1), ["download", length, length, "B"]);
    assert.ok(
      task.phases.every(([, done = 0], i) => i === 0 || done > (task.phases[i - 1]?.[1] ?? 0)),
    );
    assert.ok(task.phases.length <= time / 300 + 2);
  });

  it("leaves no connection behind", async () => {
    const closed: Promise<unknown>[] = [];
    bench.answer = (request, response) => {
      closed.push(once(request.socket, "close"));
      response.end(contents);
    };
    await bench.fetched();
    await bench.failure({ data: "x" }, { code: "fetch.hash" });
    await Promise.all(closed);
    assert.equal(closed.length, 2);
  });
});
