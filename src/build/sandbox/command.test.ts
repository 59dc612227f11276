import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { bytesToString } from "../../util/byte-string.ts";
import { faultOf, printCommand, refusalOf, unsettable } from "./command.ts";

const nothing = { builder: "/bin/true", args: [], env: new Map<string, string>() };

test("a builder must be an absolute path, and nothing may hold a zero byte", () => {
  assert.equal(faultOf(nothing), undefined);
  assert.equal(faultOf({ ...nothing, builder: "sh" }), "the builder is not an absolute path");
  assert.equal(faultOf({ ...nothing, args: ["a\0b"] }), "invalid argument");
  assert.equal(faultOf({ ...nothing, env: new Map([["A", "\0"]]) }), "invalid argument");
});

test("variables that no shell can set are told from the others", () => {
  const env = new Map([
    ["A_1", "x"],
    ["odd-name", "y"],
    ["1A", "z"],
    ["", "w"],
    ["é", "v"],
    ["OPTIND", "x"],
  ]);
  assert.deepEqual(unsettable({ ...nothing, env }), [
    "odd-name=y",
    "1A=z",
    "=w",
    "é=v",
    "OPTIND=x",
  ]);
  assert.ok(!printCommand({ ...nothing, env }).includes("odd-name"));
});

test("arguments that are too long are told from what is no program", () => {
  assert.equal(faultOf({ ...nothing, args: ["x".repeat(131_072)] }), "argument list too long");
  assert.equal(faultOf({ ...nothing, args: ["x".repeat(131_071)] }), undefined);
  const env = new Map([["A", "x".repeat(131_070)]]);
  assert.equal(faultOf({ ...nothing, env }), "argument list too long");
  assert.equal(refusalOf(nothing), "exec format error");
  assert.equal(
    refusalOf({ ...nothing, args: Array(30_000).fill("x".repeat(100)) }),
    "argument list too long",
  );
});

test("a shell that reads the command has the arguments and variables to the byte", () => {
  const text = fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => bytesToString(bytes.filter((byte) => byte !== 0)));
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), text, (args, value) => {
      const command = printCommand({ builder: "/x", args, env: new Map([["VALUE", value]]) });
      const script = `${command.toString("latin1")}printf '%s\\0' "$@" "$VALUE"`;
      const input = Buffer.from(script, "latin1");
      const said = execFileSync("sh", ["-s"], { input, env: { LC_ALL: "C" } });
      const words = said
        .toString("latin1")
        .split("\0")
        .map((word) => bytesToString(Buffer.from(word, "latin1")));
      assert.deepEqual(words, ["/x", ...args, value, ""]);
    }),
    { numRuns: 25 },
  );
});
