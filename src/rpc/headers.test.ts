import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { HeaderParser, Headers } from "./headers.ts";

const limits = { headerBytes: 200, headerFields: 4 };

/** Parses a block that is given with its line ends. */
function parse(block: string | Buffer): Headers {
  const parser = new HeaderParser(limits);
  let rest = Buffer.from(block);
  for (;;) {
    const end = rest.indexOf("\n");
    assert.notEqual(end, -1, "the block has no end");
    if (parser.line(rest.subarray(0, end))) return parser.headers;
    rest = rest.subarray(end + 1);
  }
}

const accepted: readonly [what: string, block: string, name: string, value: string | undefined][] =
  [
    ["a plain field", "A-B: c\r\n\r\n", "A-B", "c"],
    ["another case of the name", "a-b: c\r\n\r\n", "A-B", "c"],
    ["no blank after the colon", "A:c\r\n\r\n", "A", "c"],
    ["blanks and tabs around the value", "A: \t c d \t\r\n\r\n", "A", "c d"],
    ["lines that end in LF", "A: c\nB: d\n\n", "B", "d"],
    ["an empty value", "A:\r\nB: d\r\n\r\n", "A", ""],
    ["a value with colons", "A: c:d\r\n\r\n", "A", "c:d"],
    ["a tab inside the value", "A: c\td\r\n\r\n", "A", "c\td"],
    ["text beyond ASCII", "A: é\r\n\r\n", "A", "é"],
    ["a folded value", "A: c\r\n d\r\n\te\r\nB: f\r\n\r\n", "A", "c d e"],
    ["a value on the next line", "A:\r\n  c\r\n\r\n", "A", "c"],
    ["a continuation of blanks alone", "A: c\r\n \r\nB: d\r\n\r\n", "A", "c"],
    ["of two fields the first", "A: c\r\na: d\r\n\r\n", "A", "c"],
    ["a name with a blank inside, which is another name", "A B: c\r\nA: d\r\n\r\n", "A", "d"],
    ["a name with a blank behind it, which is another name", "A : c\r\n\r\n", "A", undefined],
    ["no fields", "\r\n", "A", undefined],
  ];

for (const [what, block, name, value] of accepted) {
  test(`a header block may have ${what}`, () => {
    assert.equal(parse(block).get(name), value);
  });
}

const refused: readonly [what: string, block: string | Buffer][] = [
  ["a first line that begins with a blank", " A: c\r\n\r\n"],
  ["a first line that begins with a tab", "\tA: c\r\n\r\n"],
  ["a line without a colon", "A c\r\n\r\n"],
  ["the first line of an HTTP request", "POST / HTTP/1.1\r\n\r\n"],
  ["an empty name", ": c\r\n\r\n"],
  ["a tab in a name", "A\tB: c\r\n\r\n"],
  ["a bracket in a name", "A(B: c\r\n\r\n"],
  ["a letter beyond ASCII in a name", "Aé: c\r\n\r\n"],
  ["NUL in a name", "A\0: c\r\n\r\n"],
  ["NUL in a value", "A: c\0d\r\n\r\n"],
  ["a control character in a value", "A: c\u0001d\r\n\r\n"],
  ["DEL in a value", "A: c\u007fd\r\n\r\n"],
  ["CR in a value", "A: c\rd\r\n\r\n"],
  ["two CRs at the end of a line", "A: c\r\r\n\r\n"],
  ["two CRs as the end of the block", "A: c\r\n\r\r\n"],
];

for (const [what, block] of refused) {
  test(`a header block must not have ${what}`, () => {
    assert.throws(
      () => parse(block),
      (error) => hasCode(error, "frame.header"),
    );
  });
}

test("a bad line is refused before the block ends", () => {
  const parser = new HeaderParser(limits);
  assert.throws(() => parser.line(Buffer.from("GET / HTTP/1.1\r")), /GET/);
});

test("bytes of a value that are not UTF-8 are tolerated", () => {
  assert.equal(parse(Buffer.from("A: c\xff\r\n\r\n", "latin1")).get("A"), "c\ufffd");
});

test("the block has at most so many bytes, line ends included", () => {
  const fits = `A: ${"x".repeat(200 - "A: \r\n\r\n".length)}\r\n\r\n`;
  assert.equal(parse(fits).get("A")?.length, 193);
  assert.throws(
    () => parse(`A${fits}`),
    (error) => hasCode(error, "frame.headerSize"),
  );
});

test("the block has at most so many fields, of whatever names; continuations do not count", () => {
  assert.equal(parse("A: 1\nB: 2\n 3\n 4\nC: 5\nA: 6\n\n").get("B"), "2 3 4");
  assert.throws(
    () => parse("A: 1\nA: 2\nA: 3\nA: 4\nA: 5\n\n"),
    (error) => hasCode(error, "frame.headerSize"),
  );
});

test("headers are written in order, under their canonical names", () => {
  const headers = new Headers().set("x-request-ID", '"1"').set("CONTENT-TYPE", "a");
  assert.equal(headers.toString(), 'Content-Type: a\r\nX-Request-Id: "1"\r\n\r\n');
  assert.equal(new Headers().toString(), "\r\n");
});

for (const value of ["a\r\nB: c", "a\nb", "a\rb", "a\0b", "\u007f"]) {
  test(`the value ${JSON.stringify(value)} is not written`, () => {
    assert.throws(
      () => new Headers().set("A", value),
      (error) => hasCode(error, "frame.header"),
    );
  });
}

test("a name that is none is not written", () => {
  for (const name of ["", "A B", "A:", "A\n"]) {
    assert.throws(() => new Headers().set(name, "a"), /is no name/);
  }
});

test("names of JavaScript's objects are names like others", () => {
  const headers = parse("__proto__: a\nconstructor: b\n\n");
  assert.equal(headers.get("__proto__"), "a");
  assert.equal(headers.get("constructor"), "b");
  assert.equal(headers.get("toString"), undefined);
});
