import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { bytesToString, stringToBytes } from "../../util/byte-string.ts";
import { hasCode } from "../../util/kiln-error.ts";
import { AtermReader, maxAtermSize, maxStringSize, quoteString } from "./aterm.ts";

const byteStrings = fc
  .uint8Array({ maxLength: 30 })
  .map(bytesToString)
  .chain((text) =>
    fc.constantFrom("", '"', "\\", "\n", "\r\t", "\\n").map((special) => special + text + special),
  );

describe("ATerm strings", () => {
  test("survive being written and read", () => {
    fc.assert(
      fc.property(byteStrings, (text) => {
        const written = quoteString(text);
        const reader = new AtermReader(stringToBytes(written));
        assert.equal(reader.string(), text);
        reader.end();
        assert.doesNotMatch(written, /[\n\r\t]/);
      }),
    );
  });

  test("in lists survive too", () => {
    fc.assert(
      fc.property(fc.array(byteStrings), (texts) => {
        const reader = new AtermReader(stringToBytes(`[${texts.map(quoteString).join(",")}]`));
        assert.deepEqual(
          reader.list(() => reader.string()),
          texts,
        );
        reader.end();
      }),
    );
  });

  test("are written with five escapes and no other", () => {
    assert.equal(quoteString('"\\\n\r\t\0\b/\u007fä'), '"\\"\\\\\\n\\r\\t\0\b/\u007fä"');
  });

  for (const escape of ["\\0", "\\'", "\\\n", "\\x41", "\\u0041", "\\"]) {
    test(`know no escape ${JSON.stringify(escape)}`, () => {
      const reader = new AtermReader(Buffer.from(`"${escape}`));
      assert.throws(
        () => reader.string(),
        (error) => hasCode(error, "drv.syntax"),
      );
    });
  }

  test("may have 16 MiB, escapes counted once", () => {
    const body = Buffer.concat([Buffer.from('"'), Buffer.alloc(maxStringSize * 2, "\\n")]);
    const reader = new AtermReader(Buffer.concat([body, Buffer.from('"')]));
    assert.equal(reader.string().length, maxStringSize);
    const longer = new AtermReader(Buffer.concat([body, Buffer.from('a"')]));
    assert.throws(
      () => longer.string(),
      (error) => hasCode(error, "drv.tooLarge"),
    );
  });

  test("may have 64 MiB together", () => {
    assert.equal(new AtermReader(Buffer.alloc(maxAtermSize)).offset, 0);
    assert.throws(
      () => new AtermReader(Buffer.alloc(maxAtermSize + 1)),
      (error) => hasCode(error, "drv.tooLarge"),
    );
  });

  test("that are wrong are told by the offset of the byte", () => {
    const reader = new AtermReader(Buffer.from('["ä" x'));
    assert.throws(
      () => reader.list(() => reader.string()),
      /expected "\]" but found " " at byte 5 of the derivation/,
    );
    assert.throws(() => new AtermReader(Buffer.from('"ab')).string(), /found the end at byte 3/);
  });
});
