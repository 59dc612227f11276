// zb's routes of the web page as scripts use them, and what every answer says to a browser.
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import type { Derivation } from "../src/format/derivation/derivation.ts";
import { derivationPath } from "../src/format/derivation/print.ts";
import { resultPath, WebStage } from "./support/web-stage.ts";

describe("the routes of zb's web page", () => {
  let stage: WebStage;
  let good: Derivation;
  let bad: Derivation;
  let id: string;
  let log: string;
  before(async () => {
    stage = await WebStage.open();
    good = stage.derivation("good", "printf 0123456789; echo > $out");
    bad = stage.derivation("bad", "printf '<b>no</b>'; exit 1");
    id = await stage.built([good, bad], [good, bad]);
    log = `/build/${id}/log?drvPath=${encodeURIComponent(derivationPath(good))}`;
  });
  after(async () => await stage[Symbol.asyncDispose]());

  const ask = async (path: string, init: RequestInit = {}): Promise<Response> =>
    await fetch(stage.url(path), { redirect: "manual", ...init });

  test("answer with the right status, also for what there is not", async () => {
    const unknown = "01a20791-ffff-72da-8231-000000000000";
    for (const [path, status] of [
      ["/", 200],
      [`/build/${id}/`, 200],
      [`/build/${unknown}/`, 404],
      [resultPath(id, good), 200],
      [resultPath(unknown, good), 404],
      [`/build/${id}/result?drvPath=/etc/passwd`, 404],
      [`/build/${id}/log?drvPath=../../../etc/passwd`, 404],
      [`/build/../../etc/passwd/log?drvPath=x`, 404],
      ["/static/../../package.json", 404],
      ["/static/%2e%2e/%2e%2e/package.json", 404],
      ["/roots/", 200],
      ["/nothing", 404],
    ] as const) {
      const response = await ask(path, { headers: { accept: "text/html" } });
      await response.arrayBuffer();
      assert.equal(response.status, status, path);
    }
  });

  test("lead from an id that is typed to its build, also from its end", async () => {
    for (const [query, target] of [
      [`?id=${id}`, `/build/${id}/`],
      [`?id=+${id.slice(-8)}+`, `/build/${id}/`],
      ["", "/"],
      ["?id=%2F%2Fevil.example", "/build/%2F%2Fevil.example/"],
    ] as const) {
      const response = await ask(`/build/${query}`);
      assert.equal(response.status, 303);
      assert.equal(response.headers.get("location"), target);
    }
    const bare = await ask(`/build/${id}`);
    assert.deepEqual([bare.status, bare.headers.get("location")], [307, `/build/${id}/`]);
  });

  test("are only read: other methods are refused, with those that are allowed", async () => {
    for (const path of ["/", `/build/${id}/`, log, "/metrics", "/api/v1/builds"]) {
      for (const method of ["POST", "PUT", "DELETE"]) {
        const response = await ask(path, { method });
        assert.equal(response.status, 405, `${method} ${path}`);
        assert.equal(response.headers.get("allow"), "GET, HEAD, OPTIONS");
      }
      const options = await ask(path, { method: "OPTIONS" });
      assert.equal(options.status, 200);
      const head = await ask(path, { method: "HEAD" });
      assert.equal(head.status, 200, path);
      assert.equal((await head.arrayBuffer()).byteLength, 0);
    }
  });

  test("give a finished log with its length, or a range of it by RFC 9110", async () => {
    const whole = await ask(log);
    assert.equal(whole.headers.get("content-type"), "text/plain");
    assert.equal(whole.headers.get("accept-ranges"), "bytes");
    assert.equal(whole.headers.get("content-length"), "10");
    assert.equal(await whole.text(), "0123456789");
    const head = await ask(log, { method: "HEAD" });
    assert.equal(head.headers.get("content-length"), "10");
    for (const [range, status, text, contentRange] of [
      ["bytes=0-", 200, "0123456789", null],
      ["bytes=2-4", 206, "234", "bytes 2-4/10"],
      ["bytes=8-100", 206, "89", "bytes 8-9/10"],
      ["bytes=-3", 206, "789", "bytes 7-9/10"],
      ["bytes=-100", 206, "0123456789", "bytes 0-9/10"],
      ["bytes=10-", 416, undefined, "bytes */10"],
      ["bytes=-0", 416, undefined, "bytes */10"],
      ["bytes=1-2,4-5", 422, undefined, null],
      ["bytes=b-", 400, undefined, null],
      ["lines=1-2", 400, undefined, null],
    ] as const) {
      const response = await ask(log, { headers: { range } });
      assert.equal(response.status, status, range);
      assert.equal(response.headers.get("content-range"), contentRange, range);
      const body = await response.text();
      if (text !== undefined) assert.equal(body, text, range);
    }
  });

  test("give a log that is being written as it comes, until its end, and no length of it", async () => {
    const pipe = await stage.pipe();
    const slow = stage.derivation("slow", `head -n 2 < ${pipe.path} | cat; echo > $out`);
    const running = await stage.build([slow]);
    while (stage.server.builds.records.inspect(running)?.results[0]?.state !== "running") {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const drvPath = encodeURIComponent(derivationPath(slow));
    const path = `/build/${running}/log?drvPath=${drvPath}`;
    const suffix = await ask(path, { headers: { range: "bytes=-3" } });
    assert.equal(suffix.status, 416);
    const response = await ask(path);
    assert.equal(response.headers.get("content-length"), null);
    await pipe.write("one\ntwo\n");
    assert.equal(await response.text(), "one\ntwo\n");
  });

  test("give a range of a log that is being written as what there is of it now", async () => {
    const pipe = await stage.pipe();
    const slow = stage.derivation("paused", `printf abc; head -n 1 < ${pipe.path}; echo > $out`);
    const running = await stage.build([slow]);
    const drvPath = derivationPath(slow);
    const path = `/build/${running}/log?drvPath=${encodeURIComponent(drvPath)}`;
    // Until the first bytes are there.
    for (let text = ""; text === "";) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const call = stage.client.call("zb.readLog", { buildID: running, drvPath });
      text = await call.then(
        (read) => read.text ?? "",
        () => "",
      );
    }
    for (const [range, status, text, contentRange] of [
      ["bytes=1-", 206, "bc", "bytes 1-2/*"],
      ["bytes=0-1", 206, "ab", "bytes 0-1/*"],
      ["bytes=0-100", 206, "abc", "bytes 0-2/*"],
      ["bytes=3-", 416, undefined, "bytes */*"],
    ] as const) {
      const response = await ask(path, { headers: { range } });
      assert.equal(response.status, status, range);
      assert.equal(response.headers.get("content-range"), contentRange, range);
      const body = await response.text();
      if (text !== undefined) assert.equal(body, text, range);
    }
    await pipe.write("go on\n");
    await stage.server.builds.ended(running);
  });

  test("forbid browsers all but the page's own scripts, and others to frame or read it", async () => {
    for (const path of ["/", log, "/api/v1/builds", "/nothing", "/metrics", "/build/%zz/"]) {
      const { headers, body } = await ask(path, { headers: { origin: "https://evil.example" } });
      await body?.cancel();
      const policy = headers.get("content-security-policy") ?? "";
      assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
      assert.match(policy, /frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /unsafe|\*/);
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("access-control-allow-origin"), null);
    }
    const shell = await (await ask(resultPath(id, bad))).text();
    assert.doesNotMatch(shell, /<script(?![^>]* src=)|<style|\son\w+=/);
  });

  test("answer nobody who takes them for another host", async () => {
    const { hostname, port } = new URL(stage.web.url);
    const status = async (hosts: string[]): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const headers = hosts.flatMap((host) => ["Host", `${host}:${port}`]);
        const asked = request({ hostname, port, path: "/api/v1/builds", headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on("error", reject).end();
      });
    assert.equal(await status(["evil.example"]), 403);
    assert.equal(await status(["localhost", "evil.example"]), 403);
    assert.equal(await status(["evil.example", "localhost"]), 403);
    assert.equal(await status(["localhost"]), 200);
  });

  test("show targets and links to logs without scripts, escaped", async () => {
    const target = { name: "<i>mine</i>", drvPath: derivationPath(good) };
    await stage.client.call("zb.realize", { drvPath: [target.drvPath], targets: [target] });
    const text = await (await ask("/")).text();
    assert.match(text, /&lt;i&gt;mine&lt;\/i&gt;/);
    assert.doesNotMatch(text, /<i>mine/);
    const build = await (await ask(`/build/${id}/`)).text();
    assert.match(build, /<noscript>.*log of good/s);
  });
});
