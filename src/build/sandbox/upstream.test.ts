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

test("a password that is no escape is taken as it stands", () => {
  const found = upstreamFor({ HTTP_PROXY: "http://a:100%@proxy" }, "HTTP", target);
  assert.deepEqual(found?.headers, {
    "proxy-authorization": `Basic ${Buffer.from("a:100%").toString("base64")}`,
  });
});

for (const [host, list, isReached] of [
  ["www.example.org", "", true],
  ["www.example.org", "example.org", false],
  ["10.1.2.3", "10.0.0.0/8", false],
  // What the proxy would make of these is itself, which may be this machine.
  ["localhost", "", false],
  ["LocalHost.", "", false],
  ["a.localhost", "", false],
  ["2130706433", "", false],
  ["127.0.0.1", "", false],
  ["::1", "", false],
  ["no host", "", false],
] as const) {
  test(`${host} is reached ${isReached ? "through the proxy" : "without"} when NO_PROXY is "${list}"`, () => {
    const environment = { HTTPS_PROXY: "http://proxy", NO_PROXY: list };
    assert.equal(upstreamFor(environment, "HTTPS", { host, port: 443 }) !== undefined, isReached);
  });
}
