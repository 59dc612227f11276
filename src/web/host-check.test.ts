import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { refusal } from "./host-check.ts";

const local = { names: new Set(["kiln.example"]), remote: false };
const remote = { names: new Set(["kiln.example"]), remote: true };

describe("a request from this machine", () => {
  for (const host of [
    "localhost",
    "localhost:7420",
    "LOCALHOST:7420",
    "127.0.0.1:7420",
    "127.8.9.10:1",
    "[::1]:7420",
    "kiln.example:7420",
  ]) {
    test(`to ${host} is answered`, () =>
      assert.equal(refusal(host, "127.0.0.1", local), undefined));
  }
  for (const host of [
    undefined,
    "",
    "evil.example",
    "localhost.evil.example",
    "localhost@evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1:7420",
    "[::2]:7420",
    "localhost:7420/..",
    "localhost:port",
    "a b",
  ]) {
    test(`to ${host ?? "no host"} is refused`, () =>
      assert.notEqual(refusal(host, "127.0.0.1", local), undefined));
  }
  test("may come over IPv6 and over IPv4 in IPv6", () => {
    assert.equal(refusal("localhost", "::1", local), undefined);
    assert.equal(refusal("localhost", "::ffff:127.0.0.1", local), undefined);
  });
});

describe("a request from another machine", () => {
  test("is refused, whatever host it names", () => {
    assert.equal(refusal("localhost", "10.0.0.7", local), "Only localhost connections permitted.");
    assert.notEqual(refusal("kiln.example", "10.0.0.7", local), undefined);
    assert.notEqual(refusal("localhost", undefined, local), undefined);
  });
  test("is answered where that is allowed, by address and by name", () => {
    assert.equal(refusal("10.0.0.1:7420", "10.0.0.7", remote), undefined);
    assert.equal(refusal("kiln.example", "10.0.0.7", remote), undefined);
  });
  test("is refused under a name that is not ours even then", () => {
    assert.notEqual(refusal("evil.example", "10.0.0.7", remote), undefined);
  });
});
