import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isDeeperThan, memberText } from "./json-scan.ts";

const members: readonly [json: string, names: readonly string[], text: string | undefined][] = [
  ['{"id":1.0}', ["id"], "1.0"],
  [' \t\r\n{ "id" : 1e3 , "x":2 } ', ["id"], "1e3"],
  ['{"id":-0}', ["id"], "-0"],
  ['{"a":"\\"id\\":5","b":["id",{"id":6}],"id":7}', ["id"], "7"],
  ['{"id":1,"id":2}', ["id"], "2"],
  ['{"\\u0069d":3}', ["id"], "3"],
  ['{"\\\\":1,"\\"":2,"id":4}', ["id"], "4"],
  ['{"id":{"id":[1]}}', ["id"], '{"id":[1]}'],
  ['{"id":{"id":[1]}}', ["id", "id"], "[1]"],
  ['{"params":{"id":5},"id":6}', ["params", "id"], "5"],
  ['{"params":{"id":5},"params":{}}', ["params", "id"], undefined],
  ['{"params":[{"id":5}]}', ["params", "id"], undefined],
  ['{"ID":1}', ["id"], undefined],
  ["{}", ["id"], undefined],
  ["[1]", ["id"], undefined],
  ["5", ["id"], undefined],
];

for (const [json, names, text] of members) {
  test(`${names.join(".")} of ${json} is ${text ?? "not there"}`, () => {
    assert.equal(memberText(Buffer.from(json), ...names), text);
  });
}

test("a member's text is what JSON.parse made its value of", () => {
  const name = fc.oneof(fc.constantFrom("id", "a", "__proto__"), fc.string());
  const space = fc.constantFrom(undefined, 1, "\t");
  fc.assert(
    fc.property(fc.dictionary(name, fc.jsonValue()), name, space, (object, wanted, indent) => {
      const json = JSON.stringify(object, undefined, indent);
      const text = memberText(Buffer.from(json), wanted);
      // Not the object itself: JSON has no -0.
      const parsed: Record<string, unknown> = JSON.parse(json);
      if (Object.hasOwn(parsed, wanted)) assert.deepEqual(JSON.parse(text ?? ""), parsed[wanted]);
      else assert.equal(text, undefined);
    }),
  );
});

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test("the depth of a text is that of its value", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(8), (value, limit) => {
      const json = Buffer.from(JSON.stringify(value));
      // A text cannot be deeper than it is long, so short ones are not looked at: pad it.
      const padded = Buffer.concat([Buffer.alloc(limit + 1, " "), json]);
      assert.equal(isDeeperThan(padded, limit), depthOf(value) > limit);
      assert.equal(isDeeperThan(json, limit), depthOf(value) > limit);
    }),
  );
});

test("anything at all is scanned without an error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(5), (array, limit) => {
      isDeeperThan(Buffer.from(array), limit);
    }),
  );
});
