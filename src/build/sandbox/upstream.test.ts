import assert from "node:assert/strict";
import { test } from "node:test";
import { upstreamFor } from "./upstream.ts";

const target = { host: "www.example.org", port: 443 };

test("a proxy is named by its variable, in either case, with or without a scheme", () => {
  const proxy = { host: "proxy", port: 3128, headers: {} };
  for (const environment of [
    { HTTPS_PROXY: "http://proxy:3128" },
    { https_proxy: "http://proxy:3128/" },
    { https_proxy: "proxy:3128", HTTPS_PROXY: "" },
  ]) {
    assert.deepEqual(upstreamFor(environment, "HTTPS", target), proxy);
    assert.equal(upstreamFor(environment, "HTTP", target), undefined);
  }
});

test("its name and password become a header", () => {
  const found = upstreamFor({ HTTP_PROXY: "http://a:b%40c@[::1]" }, "HTTP", target);
  const header = `Basic ${Buffer.from("a:b@c").toString("base64")}`;
  assert.deepEqual(found, { host: "::1", port: 80, headers: { "proxy-authorization": header } });
});

for (const [list, isExempt] of [
  ["*", true],
  ["www.example.org", true],
  ["example.org", true],
  [".example.org", true],
  ["*.example.org", true],
  ["other, example.org:443", true],
  ["example.org:80", false],
  ["ample.org", false],
  ["", false],
] as const) {
  test(`NO_PROXY=${list} ${isExempt ? "exempts" : "does not exempt"} www.example.org:443`, () => {
    const environment = { HTTPS_PROXY: "http://proxy", NO_PROXY: list };
    assert.equal(upstreamFor(environment, "HTTPS", target) === undefined, isExempt);
  });
}
