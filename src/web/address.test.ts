import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { parseAddress } from "./address.ts";

for (const [text, host, port] of [
  ["localhost:7420", "localhost", 7420],
  [":7420", "", 7420],
  ["7420", "localhost", 7420],
  ["127.0.0.1:0", "127.0.0.1", 0],
  ["[::1]:80", "::1", 80],
  ["[::]:80", "::", 80],
] as const) {
  test(`${text} is an address`, () => assert.deepEqual(parseAddress(text), { host, port }));
}

for (const text of ["", "localhost", "localhost:", "a:b", "::1:80", "host:70000", "a/b:80"]) {
  test(`"${text}" is no address`, () =>
    assert.throws(
      () => parseAddress(text),
      (error) => hasCode(error, "usage.value"),
    ));
}
