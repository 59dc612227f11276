import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ByteReader, GatheredBytes } from "./byte-reader.ts";
import { hasCode } from "./kiln-error.ts";

async function* pieces(...texts: readonly string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

async function* failing(): AsyncGenerator<Buffer> {
  yield Buffer.from("a");
  throw new Error("gone");
}

test("exact gathers over chunks and leaves the rest", async () => {
  const reader = new ByteReader(pieces("ab", "", "cde", "f"));
  assert.equal((await reader.exact(4)).toString(), "abcd");
  assert.equal((await reader.exact(0)).length, 0);
  assert.equal((await reader.chunk())?.toString(), "e");
  assert.equal((await reader.chunk())?.toString(), "f");
  assert.equal(await reader.chunk(), undefined);
});

test("exact says how much was missing when the stream ends early", async () => {
  const reader = new ByteReader(pieces("abc"));
  await assert.rejects(reader.exact(4), (error) => {
    assert.ok(hasCode(error, "stream.truncated"));
    assert.match(error.message, /4 bytes, after 3/);
    return true;
  });
});

test("what was put back comes first, the last put back before the others", async () => {
  const reader = new ByteReader(pieces("c"));
  reader.unread(Buffer.from("b"));
  reader.unread(Buffer.from("a"));
  reader.unread(Buffer.alloc(0));
  assert.equal((await reader.exact(3)).toString(), "abc");
});

test("buffered gives only what is in memory", async () => {
  const reader = new ByteReader(pieces("ab"));
  assert.equal(reader.buffered(), undefined);
  await reader.exact(1);
  assert.equal(reader.buffered()?.toString(), "b");
  assert.equal(reader.buffered(), undefined);
});

test("line ends at the newline and keeps a carriage return", async () => {
  const reader = new ByteReader(pieces("on", "e\r\n", "\ntwo\n"));
  assert.equal((await reader.line(10))?.toString(), "one\r");
  assert.equal((await reader.line(10))?.toString(), "");
  assert.equal((await reader.line(3))?.toString(), "two");
  assert.equal(await reader.line(10), undefined);
});

test("a line that is too long is refused, whether its end is in sight or not", async () => {
  for (const source of [pieces("abcd\n"), pieces("ab", "cd")]) {
    await assert.rejects(new ByteReader(source).line(3), (error) => hasCode(error, "stream.line"));
  }
});

test("a stream that ends inside a line is an error", async () => {
  const reader = new ByteReader(pieces("abc"));
  await assert.rejects(reader.line(10), (error) => hasCode(error, "stream.truncated"));
});

test("an error of the source reaches the reader", async () => {
  await assert.rejects(new ByteReader(failing()).exact(2), /gone/);
});

test("lengths and lines do not depend on how the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 6 })),
      fc.array(fc.nat(5)),
      async (texts, lengths) => {
        const all = texts.join("\n");
        const whole = new ByteReader(pieces(all));
        const cut = new ByteReader(pieces(...all.split("")));
        for (const [i, length] of lengths.entries()) {
          const read = (reader: ByteReader): Promise<Buffer | undefined> =>
            i % 2 === 0 ? reader.exact(length) : reader.line(1000);
          const expected = await read(whole).catch(String);
          assert.deepEqual(await read(cut).catch(String), expected);
          if (typeof expected === "string") break;
        }
      },
    ),
  );
});

test("pieces are gathered whatever their sizes, and the first is not changed", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.uint8Array({ maxLength: 200 }))), (rounds) => {
      const gathered = new GatheredBytes();
      for (const round of rounds) {
        const pieces = round.map((array) => Buffer.from(array));
        const expected = Buffer.concat(pieces);
        // What lies behind a piece is somebody else's.
        const guard = Buffer.concat([pieces[0] ?? Buffer.alloc(0), Buffer.alloc(300, 7)]);
        const [first, ...rest] = [guard.subarray(0, pieces[0]?.length ?? 0), ...pieces.slice(1)];
        gathered.add(first);
        for (const piece of rest) gathered.add(piece);
        assert.equal(gathered.length, expected.length);
        assert.ok(gathered.take().equals(expected));
        assert.ok(guard.subarray(first.length).equals(Buffer.alloc(300, 7)));
      }
    }),
  );
});
