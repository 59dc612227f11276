import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { hasCode, type KilnError } from "../util/kiln-error.ts";
import { rpcFrame } from "./frame.ts";
import { Headers } from "./headers.ts";
import { MessageWriter } from "./writer.ts";

/** A stream that takes one write at a time, when told to. */
class SlowStream extends Writable {
  readonly writes: Buffer[] = [];
  #taken: (() => void) | undefined;
  #written: (() => void) | undefined;

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.writes.push(Buffer.from(chunk));
    this.#taken = callback;
    this.#written?.();
  }

  /** Resolves when a write is under way. */
  async written(): Promise<Buffer> {
    while (this.#taken === undefined) {
      await new Promise<void>((resolve) => {
        this.#written = resolve;
      });
    }
    return this.writes.at(-1) ?? Buffer.alloc(0);
  }

  /** Takes the write that is under way. */
  take(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  /** Takes everything from now on; resolves when `writer` has nothing more. */
  async takeAll(writer: MessageWriter): Promise<string> {
    const drained = writer.drained().then(() => "drained");
    while ((await Promise.race([this.written(), drained])) !== "drained") this.take();
    return Buffer.concat(this.writes).toString();
  }
}

function slowWriter(stallTimeout = Infinity): {
  stream: SlowStream;
  writer: MessageWriter;
  faults: KilnError[];
} {
  const stream = new SlowStream();
  stream.on("error", () => undefined);
  const faults: KilnError[] = [];
  const writer = new MessageWriter(stream, {
    stallTimeout,
    onFault: (fault) => {
      faults.push(fault);
      stream.destroy();
    },
  });
  return { stream, writer, faults };
}

const exportHeader = "Content-Type: application/zb-store-export\r\n\r\n";

test("messages of one turn are one write, in order", async () => {
  const { stream, writer } = slowWriter();
  writer.send("1");
  await Promise.resolve();
  writer.send("2");
  const expected = rpcFrame("1") + rpcFrame("2");
  assert.equal(writer.unsent, expected.length);
  assert.equal(await stream.takeAll(writer), expected);
  assert.equal(stream.writes.length, 1);
  assert.equal(writer.unsent, 0);
});

test("what comes while a write is under way goes out with the next", async () => {
  const { stream, writer } = slowWriter();
  writer.send("1");
  await stream.written();
  for (const text of ["2", "3", "4"]) writer.send(text);
  const all = ["1", "2", "3", "4"].map(rpcFrame).join("");
  assert.equal(await stream.takeAll(writer), all);
  assert.equal(stream.writes.length, 2);
});

test("an export is one message, however long: others wait before or behind it", async () => {
  const { stream, writer } = slowWriter();
  async function* chunks(): AsyncGenerator<Buffer> {
    for (const text of ["a", "b", "c"]) {
      writer.send(`behind ${text}`);
      yield Buffer.from(text);
    }
  }
  writer.send("before");
  const sent = writer.sendExport(new Headers(), chunks());
  writer.send("behind");
  const behind = ["behind", "behind a", "behind b", "behind c"].map(rpcFrame).join("");
  assert.equal(await stream.takeAll(writer), `${rpcFrame("before")}${exportHeader}abc${behind}`);
  await sent;
});

test("chunks are pulled only as fast as they are taken", async () => {
  const { stream, writer } = slowWriter();
  let pulled = 0;
  function* chunks(): Generator<Buffer> {
    for (; pulled < 3;) yield Buffer.from(String(pulled++));
  }
  const sent = writer.sendExport(new Headers(), chunks());
  for (const expected of [0, 1, 2, 3]) {
    await stream.written();
    assert.equal(pulled, expected);
    stream.take();
  }
  await sent;
});

test("long chunks are written in pieces, so that progress is seen", async () => {
  const { stream, writer } = slowWriter();
  const long = Buffer.alloc(800_000, 1);
  const sent = writer.sendExport(new Headers(), [long]);
  await stream.takeAll(writer);
  await sent;
  assert.ok(stream.writes.every(({ length }) => length <= 262_144));
  assert.ok(Buffer.concat(stream.writes.slice(1)).equals(long));
});

test("an export that fails midway fails the connection and everything behind it", async () => {
  const { stream, writer, faults } = slowWriter();
  const broken = new Error("bad object");
  async function* chunks(): AsyncGenerator<Buffer> {
    yield Buffer.from("a");
    throw broken;
  }
  const sent = assert.rejects(writer.sendExport(new Headers(), chunks()), broken);
  const behind = assert.rejects(writer.sendExport(new Headers(), []), (error) =>
    hasCode(error, "socket.broken"),
  );
  await stream.takeAll(writer);
  await Promise.all([sent, behind]);
  assert.deepEqual(
    faults.map(({ code, cause }) => [code, cause]),
    [["socket.broken", broken]],
  );
  writer.send("too late");
  assert.equal(writer.unsent, 0);
  await assert.rejects(writer.sendExport(new Headers(), []));
});

test("an export is taken back by its signal until its first byte is sent", async () => {
  const { stream, writer } = slowWriter();
  const abort = new AbortController();
  const reason = new Error("changed my mind");
  writer.send("1");
  const taken = writer.sendExport(new Headers(), [Buffer.from("never")], abort.signal);
  const late = new AbortController();
  const sent = writer.sendExport(new Headers(), [Buffer.from("sent")], late.signal);
  abort.abort(reason);
  await assert.rejects(taken, reason);
  await assert.rejects(writer.sendExport(new Headers(), [], abort.signal), reason);
  await stream.written();
  stream.take();
  await stream.written();
  late.abort(reason);
  assert.equal(await stream.takeAll(writer), `${rpcFrame("1")}${exportHeader}sent`);
  await sent;
});

test("drained waits for the mark it was given", async () => {
  const { stream, writer } = slowWriter();
  writer.send("1");
  await stream.written();
  writer.send("2");
  const half = writer.drained(rpcFrame("2").length);
  let isEmpty = false;
  const empty = writer.drained().then(() => (isEmpty = true));
  stream.take();
  await half;
  assert.ok(!isEmpty);
  await stream.takeAll(writer);
  await empty;
});

test("a write without progress fails the connection", async () => {
  const { stream, writer, faults } = slowWriter(20);
  const behind = assert.rejects(writer.sendExport(new Headers(), [Buffer.from("a")]), (error) =>
    hasCode(error, "socket.stalled"),
  );
  await stream.written();
  await behind;
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["socket.stalled"],
  );
  await writer.drained();
  await writer.end();
});

test("a connection that has nothing to write does not stall", async () => {
  const { stream, writer, faults } = slowWriter(20);
  writer.send("1");
  await stream.takeAll(writer);
  // Another one that stalls later tells the time.
  const clock = slowWriter(40);
  await assert.rejects(clock.writer.sendExport(new Headers(), []));
  assert.deepEqual(faults, []);
});

test("the end comes after everything that was to be sent", async () => {
  const { stream, writer } = slowWriter();
  writer.send("1");
  const sent = writer.sendExport(new Headers(), [Buffer.from("a")]);
  const ended = writer.end();
  const all = await stream.takeAll(writer);
  await Promise.all([ended, sent]);
  assert.equal(all, `${rpcFrame("1")}${exportHeader}a`);
  assert.ok(stream.writableFinished);
});

test("an error of the stream fails the connection", async () => {
  const { stream, writer, faults } = slowWriter();
  writer.send("1");
  await stream.written();
  stream.destroy(new Error("EPIPE"));
  stream.take();
  writer.send("2");
  await writer.drained();
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["socket.interrupted"],
  );
});
