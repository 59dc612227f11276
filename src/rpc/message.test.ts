import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  cancelMethod,
  errorText,
  maxDepth,
  parseMessage,
  requestText,
  resultText,
  type RequestMessage,
} from "./message.ts";

const parse = (text: string | Buffer): ReturnType<typeof parseMessage> =>
  parseMessage(Buffer.from(text));

function request(members: string): RequestMessage {
  const message = parse(`{"jsonrpc":"2.0",${members}}`);
  assert.ok(message.type === "request", members);
  return message;
}

test("a request has its members", () => {
  const { method, params, id, idText, extra, cancels } = request(
    '"method":"m","id":"1","params":{"a":1},"zbExportID":"x"',
  );
  assert.deepEqual(
    { method, params, id, idText, cancels },
    {
      method: "m",
      params: { a: 1 },
      id: "1",
      idText: '"1"',
      cancels: undefined,
    },
  );
  assert.deepEqual({ ...extra }, { zbExportID: "x" });
});

test("a message without an id is a notification", () => {
  const { id, idText, params } = request('"method":"m"');
  assert.deepEqual([id, idText, params], [undefined, undefined, undefined]);
});

test("the method null is a method with an empty name", () => {
  assert.equal(request('"method":null,"id":1').method, "");
});

const ids: readonly [written: string, id: unknown, idText?: string][] = [
  ["null", null],
  ["0", 0],
  ["-5", -5],
  ["-0", 0, "0"],
  ["9007199254740991", 9007199254740991],
  ["9007199254740993", 9007199254740993n],
  ["9223372036854775807", 9223372036854775807n],
  ["-9223372036854775808", -9223372036854775808n],
  ['""', ""],
  ['"1"', "1"],
  ['"a\\u0062c"', "abc", '"abc"'],
  [
    '"\\n\\"\\\\\\u2028\\u00e9\\ud83d\\ude00</>&"',
    '\n"\\\u2028é😀</>&',
    '"\\n\\"\\\\\u2028é😀</>&"',
  ],
  ['"\\ud800"', "\ufffd", '"\ufffd"'],
  ['"\\udc80x"', "\ufffdx", '"\ufffdx"'],
];

for (const [written, id, idText = written] of ids) {
  test(`the id ${written} comes back as ${idText}`, () => {
    const message = request(`"method":"m","id":${written}`);
    assert.equal(message.id, id);
    assert.equal(message.idText, idText);
    assert.equal(resultText(idText, null), `{"jsonrpc":"2.0","id":${idText},"result":null}`);
  });
}

for (const written of [
  "1.5",
  "1.0",
  "1e3",
  "1E0",
  "true",
  "false",
  "{}",
  "[1]",
  "9223372036854775808",
  "-9223372036854775809",
  "1e400",
  "99999999999999999999999999",
]) {
  test(`the id ${written} is none`, () => {
    const message = parse(`{"jsonrpc":"2.0","method":"m","id":${written}}`);
    assert.ok(message.type === "invalid");
    assert.equal(message.code, -32600);
  });
}

test("an id is looked at in the message, not in what is inside it", () => {
  const inner = '"params":{"id":1.5,"params":{"id":2.5}}';
  assert.equal(request(`"method":"m",${inner},"id":7`).idText, "7");
  assert.equal(request(`"method":"m","id":7,${inner}`).idText, "7");
});

const invalid: readonly [what: string, text: string | Buffer, code: number][] = [
  ["nothing", "", -32700],
  ["garbage", Buffer.from([0, 255]), -32700],
  ["a byte order mark", "\ufeff{}", -32700],
  ["two objects", "{}{}", -32700],
  ["an array", "[]", -32700],
  ["a batch", '[{"jsonrpc":"2.0","method":"m","id":1}]', -32700],
  ["a number", "5", -32700],
  ["a string", '"x"', -32700],
  ["true", "true", -32700],
  ["null", "null", -32600],
  ["an empty object", "{}", -32600],
  ["no version", '{"method":"m","id":1}', -32600],
  ["version 1.0", '{"jsonrpc":"1.0","method":"m","id":1}', -32600],
  ["a version that is a number", '{"jsonrpc":2.0,"method":"m","id":1}', -32600],
  ["a version that is null", '{"jsonrpc":null,"method":"m","id":1}', -32600],
  ["no method", '{"jsonrpc":"2.0","id":1}', -32600],
  ["a method that is a number", '{"jsonrpc":"2.0","method":5,"id":1}', -32600],
  ["a method in another case", '{"jsonrpc":"2.0","Method":"m","id":1}', -32600],
  ["a notification without version", '{"method":"m"}', -32600],
];

for (const [what, text, code] of invalid) {
  test(`${what} gets ${code}`, () => {
    const message = parse(text);
    assert.ok(message.type === "invalid", what);
    assert.equal(message.code, code);
    assert.notEqual(message.message, "");
  });
}

test("blanks around the message do not matter", () => {
  const message = parse(' \t\r\n{"jsonrpc":"2.0","method":"m","id":1} \n');
  assert.equal(message.type, "request");
});

test("of two members with one name the last counts, ids included", () => {
  const message = request('"method":"nope","method":"m","id":1.5,"id":2,"params":1,"params":2');
  assert.deepEqual([message.method, message.idText, message.params], ["m", "2", 2]);
  assert.equal(parse('{"jsonrpc":"2.0","method":"m","id":2,"id":1.5}').type, "invalid");
});

test("bytes that are not UTF-8 become U+FFFD", () => {
  const text = Buffer.from('{"jsonrpc":"2.0","method":"m","id":"a\xffb"}', "latin1");
  const message = parse(text);
  assert.ok(message.type === "request");
  assert.equal(message.id, "a\ufffdb");
});

test("members named like parts of JavaScript are members like others", () => {
  const { params, extra } = request(
    '"method":"m","id":1,"__proto__":5,"constructor":6,"params":{"__proto__":{"polluted":true}}',
  );
  assert.deepEqual(Object.entries(extra), [
    ["__proto__", 5],
    ["constructor", 6],
  ]);
  assert.equal(Object.getPrototypeOf(extra), null);
  assert.ok(typeof params === "object" && params !== null);
  assert.equal(Object.getPrototypeOf(params), Object.prototype);
  assert.equal(Object.hasOwn(params, "__proto__"), true);
  assert.equal(Reflect.get({}, "polluted"), undefined);
});

function nested(depth: number): string {
  const arrays = "[".repeat(depth - 1) + "]".repeat(depth - 1);
  return `{"jsonrpc":"2.0","method":"m","id":1,"x":${arrays}}`;
}

test("a message may be nested so deep and no deeper", () => {
  assert.equal(parse(nested(maxDepth)).type, "request");
  const message = parse(nested(maxDepth + 1));
  assert.ok(message.type === "invalid");
  assert.equal(message.code, -32700);
  assert.equal(parse("[".repeat(1_000_000)).type, "invalid");
  assert.equal(parse('{"a":'.repeat(200_000)).type, "invalid");
});

test("brackets in strings do not nest", () => {
  const text = JSON.stringify(`\\"${"[{".repeat(5000)}`);
  assert.equal(request(`"method":"m","id":1,"x":[${text},${text}]`).idText, "1");
});

const cancels: readonly [params: string, cancels: string | undefined][] = [
  ['{"id":"2"}', '"2"'],
  ['{"id":2}', "2"],
  ['{"id":9223372036854775807}', "9223372036854775807"],
  ['{"id":null}', "null"],
  ["{}", "null"],
  ["null", "null"],
  ['{"id":1.0}', undefined],
  ['{"id":{}}', undefined],
  ["[]", undefined],
  ["5", undefined],
];

for (const [params, expected] of cancels) {
  test(`${cancelMethod} with params ${params} names ${expected ?? "nothing"}`, () => {
    assert.equal(request(`"method":"${cancelMethod}","params":${params}`).cancels, expected);
  });
}

test("a message without method and with an outcome is a reply", () => {
  const reply = parse('{"jsonrpc":"2.0","id":"1","result":null}');
  assert.deepEqual(reply, { type: "reply", idText: '"1"', result: null, error: undefined });
  const failed = parse('{"jsonrpc":"2.0","id":"1","error":{"code":-32001,"message":"no"}}');
  assert.ok(failed.type === "reply");
  assert.deepEqual(failed.error, { code: -32001, message: "no" });
});

test("a reply whose error is no error object is still a failure", () => {
  for (const error of ["5", '"x"', "{}", "[]", '{"code":"x","message":5}']) {
    const reply = parse(`{"jsonrpc":"2.0","id":"1","error":${error}}`);
    assert.ok(reply.type === "reply");
    assert.deepEqual(reply.error, { code: -32001, message: "" });
  }
});

test("what is no JSON is not written", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  assert.throws(() => resultText("1", cycle), TypeError);
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  assert.throws(() => resultText("1", deep), RangeError);
});

test("undefined is written as null, integers of any size as they are", () => {
  assert.equal(resultText("1", undefined), '{"jsonrpc":"2.0","id":1,"result":null}');
  const big = { size: 2n ** 63n - 1n };
  assert.match(resultText("1", big), /"result":{"size":9223372036854775807}}$/);
});

test("half a surrogate pair is written as U+FFFD, everything else as it is", () => {
  const text = '\udc80 \\udc80 \\\ud800 😀 "\udfff"';
  const { result }: { result: unknown } = JSON.parse(resultText("1", text));
  assert.equal(result, '\ufffd \\udc80 \\\ufffd 😀 "\ufffd"');
  fc.assert(
    fc.property(
      fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(String.fromCharCode) }),
      (any) => {
        const written: { result: unknown } = JSON.parse(resultText("1", any));
        assert.equal(written.result, any.toWellFormed());
      },
    ),
  );
});

test("requests, notifications and errors are written as zb writes them", () => {
  assert.equal(
    requestText("m", { a: 1 }, "a", { zbExportID: "x" }),
    '{"jsonrpc":"2.0","method":"m","id":"a","params":{"a":1},"zbExportID":"x"}',
  );
  assert.equal(requestText("m", {}), '{"jsonrpc":"2.0","method":"m","params":{}}');
  assert.equal(
    errorText("null", { code: -32700, message: 'x "y"' }),
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x \\"y\\""}}',
  );
});

test("parsing never throws, and what was a request has an id that can be echoed", () => {
  const bodies = fc.oneof(
    fc.json().map((text) => Buffer.from(text)),
    fc.uint8Array().map((array) => Buffer.from(array)),
    fc
      .record(
        {
          jsonrpc: fc.constantFrom("2.0", 2),
          method: fc.oneof(fc.string(), fc.constant(null)),
          id: fc.jsonValue(),
          params: fc.jsonValue(),
        },
        { requiredKeys: [] },
      )
      .map((message) => Buffer.from(JSON.stringify(message))),
  );
  fc.assert(
    fc.property(bodies, (body) => {
      const message = parseMessage(body);
      if (message.type !== "request" || message.idText === undefined) return;
      JSON.parse(resultText(message.idText, null));
    }),
  );
});
