import assert from "node:assert/strict";
import { test } from "node:test";
import { printable } from "./printable.ts";

for (const [text, shown] of [
  ["", ""],
  ["naïve 日本 👩‍💻 “x”", "naïve 日本 👩‍💻 “x”"],
  ["a\nkiln: b\r", "a\\nkiln: b\\u000d"],
  ["\u001b]0;title\u0007\u001b[2J", "\\u001b]0;title\\u0007\\u001b[2J"],
  ["\u009b31m\u0000\t", "\\u009b31m\\u0000\\u0009"],
  ["\u202egnp.exe\u2066\u2028", "\\u202egnp.exe\\u2066\\u2028"],
] as const) {
  test(`${JSON.stringify(text)} is printed as ${JSON.stringify(shown)}`, () => {
    assert.equal(printable(text), shown);
  });
}
