import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { needsProxy } from "./no-proxy.ts";

// Go's answers (golang.org/x/net/http/httpproxy), one line for each list: what goes without a proxy, and what through it.
const lists: [list: string, direct: string[], proxied: string[]][] = [
  [
    "",
    [
      "http://localhost",
      "http://127.0.0.1:8",
      "http://127.9.9.9",
      "http://[::1]:80",
      "http://[::ffff:127.0.0.1]",
    ],
    [
      "http://example.org",
      "http://localhost.example.org",
      "http://a.localhost",
      "http://128.0.0.1",
      "http://[::2]",
    ],
  ],
  ["*", ["http://example.org", "http://10.0.0.1"], []],
  ["a.org, *", ["http://example.org"], []],
  ["*:80", [], ["http://example.org"]],
  [
    "example.org",
    [
      "http://example.org",
      "https://example.org",
      "http://example.org:8080",
      "http://a.example.org",
      "http://a.b.example.org",
      "http://EXAMPLE.org",
    ],
    ["http://example.org.net", "http://myexample.org", "http://org", "http://example.org."],
  ],
  [" Example.ORG ,other.net", ["http://example.org", "http://other.net"], ["http://third.net"]],
  [".example.org", ["http://a.example.org"], ["http://example.org", "http://aexample.org"]],
  ["*.example.org", ["http://a.example.org"], ["http://example.org"]],
  [
    "example.org:8080",
    ["http://example.org:8080", "http://a.example.org:8080"],
    ["http://example.org"],
  ],
  ["example.org:80", ["http://example.org", "http://example.org:80"], ["https://example.org"]],
  ["example.org:443", ["https://example.org"], ["http://example.org"]],
  ["example.org:", ["http://example.org", "http://example.org:81"], []],
  ["example.org other.net", [], ["http://example.org", "http://other.net"]],
  [
    "10.0.0.0/8",
    ["http://10.0.0.1", "http://10.255.255.255:99", "http://[::ffff:10.1.2.3]"],
    ["http://11.0.0.1", "http://example.org"],
  ],
  ["192.168.1.7/24", ["http://192.168.1.200"], ["http://192.168.2.1"]],
  ["10.0.0.0/33", [], ["http://10.0.0.1"]],
  ["10.0.0.1", ["http://10.0.0.1", "http://10.0.0.1:81"], ["http://10.0.0.10", "http://10.0.0.2"]],
  ["10.0.0.1:80", ["http://10.0.0.1"], ["http://10.0.0.1:81"]],
  ["fd00::/8", ["http://[fd12::1]"], ["http://[fe80::1]"]],
  ["fd00::1", ["http://[fd00::1]", "http://[fd00:0::1]:81"], ["http://[fd00::2]"]],
  ["[fd00::1]:80", ["http://[fd00::1]"], ["http://[fd00::1]:81"]],
  ["[fd00::1]", [], ["http://[fd00::1]"]],
  ["0.1", [], ["http://10.0.0.1"]],
  [
    "bücher.example",
    ["http://bücher.example", "http://a.xn--bcher-kva.example"],
    ["http://bucher.example"],
  ],
  [":80", [], ["http://example.org"]],
  [",, ,", [], ["http://example.org"]],
];

describe("needsProxy", () => {
  for (const [list, direct, proxied] of lists)
    test(`answers as Go does for NO_PROXY=${JSON.stringify(list)}`, () => {
      for (const url of direct) assert.equal(needsProxy(new URL(url), list), false, url);
      for (const url of proxied) assert.equal(needsProxy(new URL(url), list), true, url);
    });
});
