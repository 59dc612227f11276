import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ByteReader } from "../util/byte-reader.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { defaultFrameLimits, FrameBody, FrameReader, rpcFrame } from "./frame.ts";
import { exportType, frame, rpcType } from "./wire.test.support.ts";

async function* chunks(all: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* all;
}

/** What a stream holds: bodies of JSON messages, bodies of exports with a length, and how it ended. */
async function readAll(pieces: readonly Buffer[]): Promise<string[]> {
  const reader = new ByteReader(chunks(pieces));
  const frames = new FrameReader(reader, { ...defaultFrameLimits, messageBytes: 1000 });
  const seen: string[] = [];
  try {
    for (;;) {
      const next = await frames.next();
      if (next === undefined) return [...seen, "end"];
      if (next.type === "rpc") {
        seen.push(`rpc ${next.body.toString()}`);
      } else if (next.length === undefined) {
        // As a receiver that knows its export has four bytes.
        seen.push(`export ${(await reader.exact(4)).toString()}`);
      } else {
        const body = new FrameBody(reader, next.length);
        const read = await body.reader.exact(Math.min(next.length, 4));
        await body.skip();
        seen.push(`export of ${next.length}: ${read.toString()}`);
      }
    }
  } catch (error) {
    assert.ok(error instanceof KilnError, String(error));
    return [...seen, error.code];
  }
}

const message = (header: string, body = ""): Buffer => Buffer.from(`${header}\r\n\r\n${body}`);

const stream = Buffer.concat([
  frame('{"a":"é"}'),
  message(`content-type:${rpcType}\ncontent-length:\t+2 \n\n{}X: y\n z\nContent-Length: 3`, "abc"),
  frame("skip\r\n\r\nme", "text/plain"),
  frame("", rpcType),
  frame("longer than four", exportType),
  message(`Content-Type: ${exportType}`, "four"),
  message(`Content-Length: 2`, "no"),
  frame("last"),
]);

const expected = [
  'rpc {"a":"é"}',
  "rpc {}",
  "rpc ",
  "export of 16: long",
  "export four",
  "rpc last",
  "end",
];

test("a stream is read message by message", async () => {
  assert.deepEqual(await readAll([stream]), expected);
});

test("messages do not depend on where the stream is cut", async () => {
  for (let at = 0; at <= stream.length; at++) {
    assert.deepEqual(await readAll([stream.subarray(0, at), stream.subarray(at)]), expected);
  }
  const bytes = Array.from(stream, (byte) => Buffer.from([byte]));
  assert.deepEqual(await readAll(bytes), expected);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(stream.length)), async (cuts) => {
      const marks = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
      const pieces = marks.slice(1).map((end, i) => stream.subarray(marks[i], end));
      assert.deepEqual(await readAll(pieces), expected);
    }),
  );
});

test("a stream that ends inside a message is truncated, wherever that is", async () => {
  const one = frame("{}");
  for (let at = 1; at < one.length; at++) {
    assert.deepEqual(await readAll([one.subarray(0, at)]), ["stream.truncated"]);
  }
});

const lengths: readonly [text: string, result: string][] = [
  ["2", "rpc {}"],
  ["002", "rpc {}"],
  ["+2", "rpc {}"],
  [`${"0".repeat(300)}2`, "rpc {}"],
  ["1000", "stream.truncated"],
  ["1001", "frame.size"],
  ["9223372036854775807", "frame.size"],
  ["9223372036854775808", "frame.length"],
  ["99999999999999999999999999", "frame.length"],
  ["-1", "frame.length"],
  ["many", "frame.length"],
  ["0x2", "frame.length"],
  ["2.0", "frame.length"],
  ["1_0", "frame.length"],
  ["2 2", "frame.length"],
  ["++2", "frame.length"],
  ["", "frame.length"],
];

for (const [text, result] of lengths) {
  test(`Content-Length ${JSON.stringify(text)} of a JSON message gives ${result}`, async () => {
    const bytes = message(`Content-Type: ${rpcType}\r\nContent-Length: ${text}`, "{}");
    assert.equal((await readAll([bytes]))[0], result);
  });
}

test("minus zero is zero", async () => {
  const bytes = message("Content-Type: x\r\nContent-Length: -0", "");
  assert.deepEqual(await readAll([Buffer.concat([bytes, frame("{}")])]), ["rpc {}", "end"]);
});

test("of two lengths the first counts, even if it is the bad one", async () => {
  const header = `Content-Type: ${rpcType}\r\n`;
  const good = message(`${header}Content-Length: 2\r\nContent-Length: x`, "{}");
  assert.deepEqual(await readAll([good]), ["rpc {}", "end"]);
  const bad = message(`${header}Content-Length: x\r\nContent-Length: 2`, "{}");
  assert.deepEqual(await readAll([bad]), ["frame.length"]);
});

for (const type of ["text/plain", `${rpcType}; charset=utf-8`, rpcType.toUpperCase(), ""]) {
  test(`a message of type ${JSON.stringify(type)} is skipped with a length, a fault without`, async () => {
    assert.deepEqual(await readAll([frame("x", type), frame("{}")]), ["rpc {}", "end"]);
    assert.deepEqual(await readAll([message(`Content-Type: ${type}`, "x")]), ["frame.length"]);
  });
}

test("an export whose length is empty has none", async () => {
  const bytes = message(`Content-Type: ${exportType}\r\nContent-Length:`, "four");
  assert.deepEqual(await readAll([bytes]), ["export four", "end"]);
});

test("a length beyond what a number can hold is not taken for a short one", async () => {
  const bytes = message("Content-Type: x\r\nContent-Length: 9223372036854775807", "rest");
  assert.deepEqual(await readAll([bytes, frame("{}")]), ["stream.truncated"]);
});

test("zb's limits of a JSON message: 1 MiB and no byte more", async () => {
  const [fits, tooLong] = [1_048_576, 1_048_577].map((size) => {
    const bytes = frame(Buffer.alloc(size));
    return new FrameReader(new ByteReader(chunks([bytes])));
  });
  assert.ok(fits !== undefined && tooLong !== undefined);
  await assert.doesNotReject(fits.next());
  await assert.rejects(tooLong.next(), (error) => hasCode(error, "frame.size"));
});

test("a header is refused as soon as it is too long, with or without line ends", async () => {
  for (const piece of ["X: y\r\n", "xxxxxxxx"]) {
    let sent = 0;
    const endless = async function* (): AsyncGenerator<Buffer> {
      for (;;) {
        sent += piece.length;
        yield Buffer.from(piece);
      }
    };
    const limits = { ...defaultFrameLimits, headerBytes: 4096, headerFields: 4096 };
    await assert.rejects(new FrameReader(new ByteReader(endless()), limits).next(), (error) =>
      hasCode(error, "frame.headerSize"),
    );
    assert.ok(sent <= 4096 + 8, `read ${sent} bytes`);
  }
});

test("whatever comes is a message, an end or a fault of its own", async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "Content-Length: 3",
      "Content-Length:",
      `Content-Type: ${rpcType}`,
      `Content-Type: ${exportType}`,
      "\r\n",
      "\n",
      "\r",
      ": ",
      " ",
      "{}}",
    ),
    fc.string(),
  );
  const bytes = fc.oneof(
    fc.array(piece).map((pieces) => Buffer.from(pieces.join(""))),
    fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(bytes), async (pieces) => {
      const end = (await readAll(pieces)).at(-1) ?? "";
      assert.match(end, /^(end|frame\.(header|headerSize|length|size)|stream\.truncated)$/);
    }),
    { numRuns: 500 },
  );
});

test("a message is written with its length in bytes", () => {
  assert.equal(
    rpcFrame('{"a":"é"}'),
    `Content-Length: 10\r\nContent-Type: ${rpcType}\r\n\r\n{"a":"é"}`,
  );
});
