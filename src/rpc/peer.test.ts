import assert from "node:assert/strict";
import { once } from "node:events";
import { duplexPair } from "node:stream";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import * as fc from "fast-check";
import { hasCode, type KilnError } from "../util/kiln-error.ts";
import { RpcError } from "./errors.ts";
import { Headers } from "./headers.ts";
import { Peer, type PeerOptions, type Request } from "./peer.ts";
import { exportType, frame, request, socketPair, Wire } from "./wire.test.support.ts";

interface Served {
  readonly peer: Peer;
  readonly wire: Wire;
  readonly faults: KilnError[];
}

/** A peer on one end of a socket pair, a stranger on the other. */
async function serve(t: TestContext, options: PeerOptions = {}): Promise<Served> {
  const [ours, theirs] = await socketPair();
  const faults: KilnError[] = [];
  const peer = new Peer(ours, { onFault: (fault) => faults.push(fault), ...options });
  const wire = new Wire(theirs);
  t.after(async () => {
    wire[Symbol.dispose]();
    peer.destroy();
    await peer.closed;
  });
  return { peer, wire, faults };
}

/** Two peers that talk to each other. */
async function couple(
  t: TestContext,
  left: PeerOptions = {},
  right: PeerOptions = {},
): Promise<[Peer, Peer]> {
  const [a, b] = await socketPair();
  const peers: [Peer, Peer] = [new Peer(a, left), new Peer(b, right)];
  t.after(async () => {
    for (const peer of peers) peer.destroy();
    await Promise.all(peers.map(({ closed }) => closed));
  });
  return peers;
}

/** Requests that stay unanswered until they are told. */
class Held {
  readonly requests: Request[] = [];
  readonly #answers = new Map<unknown, (result: unknown) => void>();
  #came: () => void = () => undefined;

  readonly handler = (held: Request): Promise<unknown> => {
    this.requests.push(held);
    this.#came();
    if (held.signal.aborted) return Promise.reject(new Error("aborted"));
    return new Promise((resolve, reject) => {
      this.#answers.set(held.id ?? held.method, resolve);
      held.signal.addEventListener("abort", () => {
        const reason: unknown = held.signal.reason;
        reject(reason);
      });
    });
  };

  get options(): PeerOptions {
    return { handler: this.handler };
  }

  get ids(): unknown[] {
    return this.requests.map(({ id, method }) => id ?? method);
  }

  get first(): Request {
    const [first] = this.requests;
    assert.ok(first);
    return first;
  }

  answer(id: unknown, result: unknown = "done"): void {
    this.#answers.get(id)?.(result);
  }

  /** Resolves when so many have come. */
  async until(count: number): Promise<void> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => {
        this.#came = resolve;
      });
    }
  }
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener("abort", () => resolve(signal.reason));
  });
}

/** Some turns of the event loop: enough for what is ready to happen to have happened. */
async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function* slowly(count: number, chunk: Buffer): AsyncGenerator<Buffer> {
  for (let i = 0; i < count; i++) {
    await turns(1);
    yield chunk;
  }
}

function* half(): Generator<Buffer> {
  yield Buffer.from("half");
  throw new Error("hash mismatch");
}

const echo: PeerOptions = { handler: ({ params }) => Promise.resolve(params) };

/** Reads a toy export: one byte that says how many follow. */
async function receiveToy(body: { exact(n: number): Promise<Buffer> }): Promise<Buffer> {
  const [length = 0] = await body.exact(1);
  if (length === 255) throw new Error("broken export");
  return body.exact(length);
}

const exportHead = `Content-Type: ${exportType}\r\n\r\n`;
const toyExport = (text: string): string => exportHead + String.fromCharCode(text.length) + text;

const refused: readonly [what: string, message: Buffer, id: unknown, code: number][] = [
  ["no JSON", frame("x"), null, -32700],
  ["an empty message", frame(""), null, -32700],
  ["an array", frame("[]"), null, -32700],
  ["null", frame("null"), null, -32600],
  ["another version", frame('{"jsonrpc":"1.0","id":1,"method":"m"}'), null, -32600],
  ["a bad id", frame('{"jsonrpc":"2.0","id":1.0,"method":"m"}'), null, -32600],
  ["a stray result", frame('{"jsonrpc":"2.0","id":1,"result":5}'), null, -32600],
  ["an unknown method", request("nope", "a"), "a", -32601],
  ["an empty method", frame('{"jsonrpc":"2.0","id":5,"method":null}'), 5, -32601],
  ["bad parameters", request("params", 7), 7, -32602],
  ["a result that is no JSON", request("cycle", 7), 7, -32603],
  ["a handler that throws at once", request("throws", null), null, -32001],
  ["a handler that rejects", request("rejects", ""), "", -32001],
  [
    "a cancel without parameters",
    frame('{"jsonrpc":"2.0","id":1,"method":"$/cancelRequest"}'),
    1,
    -32602,
  ],
];

const faulty: PeerOptions = {
  handler: ({ method }) => {
    switch (method) {
      case "params":
        return Promise.reject(new RpcError(-32602, "bad"));
      case "cycle": {
        const cycle: unknown[] = [];
        cycle.push(cycle);
        return Promise.resolve(cycle);
      }
      case "throws":
        throw new Error("thrown");
      case "rejects":
        return Promise.reject(new Error());
      case "fine":
        return Promise.resolve();
      default:
        return Promise.reject(new RpcError(-32601, `method ${method} not found`));
    }
  },
};

for (const [what, message, id, code] of refused) {
  test(`${what} is answered with ${code}, and the connection goes on`, async (t) => {
    const { wire } = await serve(t, faulty);
    wire.send(message, request("fine", "next"));
    const answers = await wire.answers(2);
    const { error, ...rest } = answers.get(JSON.stringify(id)) ?? {};
    assert.equal(error?.code, code);
    assert.notEqual(error.message, "");
    assert.deepEqual(rest, { jsonrpc: "2.0", id });
    assert.deepEqual(answers.get('"next"'), { jsonrpc: "2.0", id: "next", result: null });
  });
}

test("a peer without a handler knows no method", async (t) => {
  const { wire } = await serve(t);
  wire.send(request("m", 1));
  assert.deepEqual((await wire.answer()).error, { code: -32601, message: "method m not found" });
});

test("notifications are never answered, not even when they fail", async (t) => {
  const { wire } = await serve(t, faulty);
  for (const method of ["nope", "params", "cycle", "throws", "fine"]) wire.send(request(method));
  wire.send(frame('{"jsonrpc":"2.0","method":"$/cancelRequest"}'), request("fine", 1));
  assert.equal((await wire.answer()).id, 1);
  assert.equal(wire.pending, 0);
});

test("an error instead of a method is an invalid request, but not one with the id null, or two servers would talk for ever", async (t) => {
  const { wire } = await serve(t, faulty);
  for (const message of [
    '"id":1,"error":{"code":1,"message":"x"}',
    '"id":"a","error":1',
    '"error":null',
  ]) {
    wire.send(frame(`{"jsonrpc":"2.0",${message}}`));
    const { id, error } = await wire.answer();
    assert.deepEqual([id, error?.code], [null, -32600]);
  }
  wire.send(frame('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"x"}}'));
  wire.send(request("fine", 1));
  assert.equal((await wire.answer()).id, 1);
});

test("ids come back as they were written", async (t) => {
  const { wire } = await serve(t, echo);
  for (const id of ["9223372036854775807", "-5", '"\\u0041"', "null", '""']) {
    wire.send(frame(`{"jsonrpc":"2.0","method":"m","id":${id},"params":{}}`));
    const header = await wire.header();
    const body = await wire.take(Number(/\d+/.exec(header)?.[0]));
    const expected = id.replace("\\u0041", "A");
    assert.equal(body.toString(), `{"jsonrpc":"2.0","id":${expected},"result":{}}`);
  }
});

test("a handler is given all of a request", async (t) => {
  const held = new Held();
  const { wire, peer } = await serve(t, held.options);
  wire.send(frame('{"jsonrpc":"2.0","method":"m","id":"x","params":[1],"zbExportID":"e"}'));
  wire.send(request("n"));
  await held.until(2);
  const [first, second] = held.requests;
  assert.ok(first && second);
  const { signal, extra, ...rest } = first;
  assert.deepEqual(rest, {
    method: "m",
    params: [1],
    id: "x",
    idText: '"x"',
    notification: false,
    peer,
  });
  assert.deepEqual({ ...extra }, { zbExportID: "e" });
  assert.ok(!signal.aborted);
  assert.deepEqual([second.notification, second.id, second.idText], [true, undefined, undefined]);
});

test("requests run concurrently and are answered in any order", async (t) => {
  const held = new Held();
  const { wire } = await serve(t, held.options);
  wire.send(request("m", 1), request("m", 2), request("m", 3));
  await held.until(3);
  for (const id of [2, 3, 1]) {
    held.answer(id);
    assert.equal((await wire.answer()).id, id);
  }
});

test("a request whose id is in flight is refused without an id; the first is answered", async (t) => {
  const held = new Held();
  const { wire } = await serve(t, held.options);
  wire.send(request("m", "1"), request("m", "1"), request("m", 1));
  const refusal = await wire.answer();
  assert.deepEqual([refusal.id, refusal.error?.code], [null, -32600]);
  await held.until(2);
  held.answer("1");
  held.answer(1);
  assert.equal((await wire.answers(2)).size, 2);
  wire.send(request("m", "1"));
  await held.until(3);
});

test("an export is received before the next message is read; earlier requests go on", async (t) => {
  const held = new Held();
  const receiving = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  let received = "";
  const { wire } = await serve(t, {
    handler: (incoming) => {
      if (incoming.method === "see") return Promise.resolve(received);
      return held.handler(incoming);
    },
    receiveExport: async (body) => {
      const bytes = await receiveToy(body);
      receiving.resolve();
      await done.promise;
      received = bytes.toString();
    },
  });
  wire.send(request("hold", 1), toyExport("abc"), request("see", 2));
  await receiving.promise;
  held.answer(1);
  assert.equal((await wire.answer()).id, 1);
  await turns();
  assert.equal(wire.pending, 0, "the request behind the export has to wait");
  done.resolve();
  assert.deepEqual(await wire.answer(), { jsonrpc: "2.0", id: 2, result: "abc" });
});

test("with a length, a broken export costs only the rest of its body", async (t) => {
  const { wire, faults } = await serve(t, {
    ...echo,
    receiveExport: async (body) => void (await receiveToy(body)),
  });
  wire.send(frame(Buffer.from([255, 1, 2, 3]), exportType), request("m", 1));
  wire.send(frame(Buffer.from([1, 2, 3, 4]), exportType), request("m", 2));
  wire.send(frame(Buffer.from([9, 2]), exportType), request("m", 3));
  wire.send(frame("", exportType), request("m", 4));
  assert.deepEqual([...(await wire.answers(4)).keys()], ["1", "2", "3", "4"]);
  assert.deepEqual(
    faults.map(({ message }) => message),
    [
      "broken export",
      "the stream ended inside 9 bytes, after 1",
      "the stream ended inside 1 bytes, after 0",
    ],
  );
});

test("without a length, a broken export ends the connection after what runs", async (t) => {
  const held = new Held();
  const { wire, peer, faults } = await serve(t, {
    handler: held.handler,
    receiveExport: async (body) => void (await receiveToy(body)),
  });
  wire.send(request("m", 1), exportHead, Buffer.from([255]), request("m", 2));
  await held.until(1);
  await turns();
  held.answer(1);
  assert.equal((await wire.answer()).id, 1);
  assert.equal(await wire.ended(), "");
  await peer.closed;
  assert.deepEqual(held.ids, [1]);
  assert.deepEqual(
    faults.map(({ message }) => message),
    ["broken export"],
  );
});

test("a peer that expects no exports skips those with a length and ends at others", async (t) => {
  const { wire, faults } = await serve(t, echo);
  wire.send(frame("abc", exportType), request("m", 1));
  assert.equal((await wire.answer()).id, 1);
  wire.send(toyExport("a"), request("m", 2));
  assert.equal(await wire.ended(), "");
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["frame.export"],
  );
});

test("whoever asks after an export sees it, however the bytes are cut", async (t) => {
  const operation = fc.constantFrom("ask", "import", "notify");
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 20 }),
      fc.array(fc.nat()),
      async (all, cuts) => {
        let imports = 0;
        const { wire } = await serve(t, {
          handler: () => Promise.resolve(imports),
          receiveExport: async (body) => {
            await receiveToy(body);
            await turns(1);
            imports++;
          },
        });
        const expected: { id: string; result: number }[] = [];
        let before = 0;
        const stream = Buffer.concat(
          all.map((what, i) => {
            if (what === "import") before++;
            else if (what === "ask") expected.push({ id: String(i), result: before });
            if (what === "import") return Buffer.from(toyExport("x"));
            return request("m", what === "ask" ? i : undefined);
          }),
        );
        const marks = cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b);
        for (const [i, mark] of [...marks, stream.length].entries()) {
          wire.send(stream.subarray(marks[i - 1] ?? 0, mark));
          await turns(1);
        }
        const answers = await wire.answers(expected.length);
        const seen = Array.from(answers, ([id, { result }]) => ({ id, result }));
        assert.deepEqual(
          seen.toSorted((a, b) => Number(a.id) - Number(b.id)),
          expected,
        );
      },
    ),
    { numRuns: 25 },
  );
});

test("an export goes out in one piece while other requests are answered", async (t) => {
  const size = 3_000_000;
  const { wire } = await serve(t, {
    handler: async ({ method, idText, peer }) => {
      if (method !== "export") return "answer";
      const headers = new Headers().set("X-Request-Id", idText ?? "");
      return peer.sendExport(headers, slowly(size / 100_000, Buffer.alloc(100_000, "x")));
    },
  });
  wire.send(request("export", "e1"));
  for (let i = 0; i < 100; i++) wire.send(request("m", i));
  const early: unknown[] = [];
  for (;;) {
    const header = await wire.header();
    if (header === `Content-Type: ${exportType}\r\nX-Request-Id: "e1"\r\n\r\n`) break;
    early.push(await wire.take(Number(/\d+/.exec(header)?.[0])));
  }
  const body = await wire.take(size);
  assert.ok(body.equals(Buffer.alloc(size, "x")), "nothing else is inside the export");
  const answers = await wire.answers(101 - early.length);
  assert.deepEqual(answers.get('"e1"')?.result, null);
});

test("the answer to an export comes after it, even if others wait in between", async (t) => {
  const { wire } = await serve(t, {
    handler: async ({ peer, id }) => {
      await peer.sendExport(new Headers(), [Buffer.from(`export ${String(id)}`)]);
      return id;
    },
  });
  wire.send(request("m", 1), request("m", 2));
  for (const id of [1, 2]) {
    assert.equal(await wire.header(), exportHead);
    assert.equal((await wire.take(8)).toString(), `export ${id}`);
    if (id === 2) break;
  }
  assert.equal((await wire.answers(2)).size, 2);
});

test("an export that fails midway ends the connection, without an answer", async (t) => {
  const held = new Held();
  const { wire, peer } = await serve(t, {
    handler: (incoming) => {
      if (incoming.method === "hold") return held.handler(incoming);
      return incoming.peer.sendExport(new Headers(), half());
    },
  });
  wire.send(request("hold", 1));
  await held.until(1);
  const { signal } = held.first;
  wire.send(request("export", 2));
  assert.equal(await wire.ended(), `${exportHead}half`);
  assert.ok(hasCode(await aborted(signal), "socket.broken"));
  await peer.closed;
});

test("a client that does not read is not read from", async (t) => {
  const answer = "x".repeat(10_000);
  let handled = 0;
  const { wire, peer } = await serve(t, {
    handler: () => Promise.resolve(++handled && answer),
    limits: { unsentBytes: 100_000 },
  });
  wire.socket.pause();
  const total = 2000;
  for (let i = 0; i < total; i++) wire.send(request("m", i));
  for (let before = -1; before !== handled;) {
    before = handled;
    await turns(200);
  }
  assert.ok(handled < total / 2, `${handled} requests were handled`);
  assert.ok(peer.unsentBytes < 2_000_000, `${peer.unsentBytes} bytes pile up`);
  wire.socket.resume();
  assert.equal((await wire.answers(total)).size, total);
});

test("a write without progress ends the connection and aborts what runs", async (t) => {
  const held = new Held();
  const { wire, peer, faults } = await serve(t, {
    handler: (incoming) =>
      incoming.method === "hold" ? held.handler(incoming) : Promise.resolve("x".repeat(4_000_000)),
    limits: { stallTimeout: 50 },
  });
  wire.socket.pause();
  wire.send(request("hold", 1));
  await held.until(1);
  const { signal } = held.first;
  wire.send(request("m", 2));
  assert.ok(hasCode(await aborted(signal), "socket.stalled"));
  await peer.closed;
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["socket.stalled"],
  );
});

test("a message that begins and does not go on ends the connection; one that has not begun does not", async (t) => {
  const { wire, peer, faults } = await serve(t, { limits: { messageTimeout: 300 } });
  wire.send(request("m", 1));
  await wire.answers(1);
  await delay(700);
  assert.equal(peer.unsentBytes, 0);
  wire.send(request("m", 2));
  assert.equal((await wire.answers(1)).size, 1, "it may be silent for as long as it likes");
  wire.send(request("m", 3).subarray(0, -1));
  await peer.closed;
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["frame.slow"],
  );
});

test("an export whose bytes fail to come ends the connection; one that comes slowly does not", async (t) => {
  const { wire, peer, faults } = await serve(t, {
    receiveExport: async (body) => void (await body.exact(8)),
    limits: { messageTimeout: 300, exportTimeout: 1000 },
  });
  wire.send(Buffer.from(`Content-Type: ${exportType}\r\nContent-Length: 8\r\n\r\n`));
  for (let i = 0; i < 8; i++) {
    await delay(150);
    wire.send(Buffer.from("x"));
  }
  wire.send(request("m", 1));
  await wire.answers(1);
  wire.send(Buffer.from(`Content-Type: ${exportType}\r\nContent-Length: 8\r\n\r\nx`));
  await peer.closed;
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["frame.slow"],
  );
});

test("at the limit requests wait; notifications, cancels and log readers do not", async (t) => {
  const held = new Held();
  const { wire } = await serve(t, { handler: held.handler, limits: { inFlight: 2 } });
  for (const id of [1, 2, 3, 4, 5]) wire.send(request("m", id));
  wire.send(request("zb.readLog", "log"), request("note"));
  await held.until(4);
  assert.deepEqual(held.ids, [1, 2, "log", "note"]);
  wire.send(request("$/cancelRequest", undefined, { id: 3 }));
  wire.send(request("$/cancelRequest", "c", { id: 1 }));
  const answers = await wire.answers(3);
  assert.equal(answers.get("3")?.error?.code, -32800, "it waited, and never ran");
  assert.equal(answers.get("1")?.error?.code, -32800);
  assert.equal(answers.get('"c"')?.result, null);
  await held.until(5);
  assert.deepEqual(held.ids, [1, 2, "log", "note", 4]);
  held.answer(2);
  await held.until(6);
});

test("a flood of requests is not read beyond a bound, and none is lost", async (t) => {
  const held = new Held();
  const { wire } = await serve(t, { handler: held.handler, limits: { inFlight: 1, queued: 10 } });
  const total = 1000;
  for (let i = 0; i < total; i++) wire.send(request("m", i));
  await held.until(1);
  wire.send(request("note"));
  await turns();
  assert.deepEqual(held.ids, [0], "what is behind the flood is not read");
  for (let i = 0; i < total; i++) {
    await held.until(i + 1);
    held.answer(i);
  }
  assert.equal((await wire.answers(total)).size, total);
});

test("a cancelled request is answered with -32800 if it was interruptible, else normally", async (t) => {
  const held = new Held();
  const deaf = Promise.withResolvers<string>();
  const { wire } = await serve(t, {
    handler: (incoming) => (incoming.method === "deaf" ? deaf.promise : held.handler(incoming)),
  });
  wire.send(request("deaf", 1), request("m", 9007199254740993n.toString()));
  wire.send(frame('{"jsonrpc":"2.0","method":"m","id":9007199254740993,"params":{}}'));
  wire.send(request("$/cancelRequest", undefined, { id: 1 }));
  wire.send(frame('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":9007199254740993}}'));
  const { error } = await wire.answer();
  assert.equal(error?.code, -32800);
  assert.ok(hasCode(held.requests[1]?.signal.reason, "request.cancelled"));
  assert.ok(!held.requests[0]?.signal.aborted, "an id of the same digits in quotes is another");
  deaf.resolve("finished");
  assert.equal((await wire.answer()).result, "finished");
});

test("a cancel of nothing is nothing", async (t) => {
  const { wire } = await serve(t, echo);
  wire.send(request("$/cancelRequest", undefined, { id: 99 }));
  wire.send(request("$/cancelRequest", 1, { id: 99 }), request("$/cancelRequest", 2, {}));
  const answers = await wire.answers(2);
  assert.deepEqual([answers.get("1")?.result, answers.get("2")?.result], [null, null]);
});

test("a client that has sent its last message still gets its answers", async (t) => {
  const held = new Held();
  const { wire, peer, faults } = await serve(t, {
    handler: held.handler,
    limits: { probeInterval: 5 },
  });
  wire.socket.end(Buffer.concat([request("m", 1), request("zb.readLog", 2)]));
  await held.until(2);
  await turns();
  held.answer(2);
  held.answer(1, "x".repeat(1_000_000));
  assert.equal((await wire.answers(2)).size, 2);
  assert.equal(await wire.ended(), "");
  await peer.closed;
  assert.deepEqual(faults, []);
});

test("a client that is gone has its requests aborted at once, but all it sent is read", async (t) => {
  const held = new Held();
  const { wire, peer } = await serve(t, { ...held.options, limits: { probeInterval: 60_000 } });
  wire.send(request("zb.readLog", 1));
  await held.until(1);
  wire.socket.end(request("zb.cancelBuild"), () => wire.socket.destroy());
  await held.until(2);
  assert.equal(held.requests[1]?.method, "zb.cancelBuild");
  assert.ok(hasCode(await aborted(held.first.signal), "socket.interrupted"));
  await peer.closed;
});

test("what a client sent before it went is carried out, although the answers to it fail", async (t) => {
  const held = new Held();
  const heard: unknown[] = [];
  const { wire, peer } = await serve(t, {
    handler: (asked) => {
      if (asked.id === "first") return held.handler(asked);
      heard.push(asked.method);
      return Promise.resolve();
    },
    // The first request alone fills what may be held: the others are read when it has been answered.
    limits: { heldBytes: 1000, probeInterval: 60_000 },
  });
  const text = "a".repeat(1000);
  wire.send(request("first", "first", { text }));
  await held.until(1);
  // Most of it waits in the system, not in the stream.
  const sent = Array.from({ length: 40 }, (_, i) => `m${i}`);
  for (const method of sent) wire.send(request(method, undefined, { text }));
  wire.socket.destroySoon();
  await once(wire.socket, "close");
  held.answer("first");
  await peer.closed;
  assert.deepEqual(heard, sent);
});

test("who leaves at once with a last word is heard, each time", async (t) => {
  let heard = 0;
  for (let round = 0; round < 200; round++) {
    const last = Promise.withResolvers<void>();
    const handler = ({ method }: Request): Promise<unknown> => {
      if (method === "last") last.resolve();
      return Promise.resolve("a".repeat(round * 10));
    };
    const { wire, peer } = await serve(t, { handler });
    for (let i = 0; i < 1 + (round % 7); i++) wire.send(request("answer", i));
    await turns(round % 4);
    wire.send(request("answer", "x"), request("last"));
    wire.socket.destroySoon();
    await peer.closed;
    if (await Promise.race([last.promise.then(() => true), turns().then(() => false)])) heard++;
  }
  assert.equal(heard, 200);
});

test("a client that goes away while it waits for answers is noticed", async (t) => {
  const held = new Held();
  const { wire, peer } = await serve(t, { handler: held.handler, limits: { probeInterval: 5 } });
  wire.socket.end(request("zb.readLog", 1));
  await held.until(1);
  const { signal } = held.first;
  await turns();
  assert.ok(!signal.aborted);
  wire.socket.destroy();
  await aborted(signal);
  await peer.closed;
});

test("a client that goes away is noticed although its flood is not read; what it sent then starts aborted", async (t) => {
  const held = new Held();
  const { wire, peer } = await serve(t, {
    handler: held.handler,
    limits: { inFlight: 1, queued: 1, probeInterval: 5 },
  });
  for (let i = 0; i < 100; i++) wire.send(request("m", i));
  await held.until(1);
  await turns();
  wire.socket.destroy();
  await aborted(held.first.signal);
  await peer.closed;
  assert.ok(held.requests.every(({ signal }) => signal.aborted));
});

test("after a framing fault running requests finish, and nothing says why", async (t) => {
  const held = new Held();
  const { wire, peer, faults } = await serve(t, held.options);
  wire.send(request("m", 1), "GET / HTTP/1.1\r\n\r\n", request("m", 2));
  await held.until(1);
  await turns();
  held.answer(1);
  assert.deepEqual(await wire.answer(), { jsonrpc: "2.0", id: 1, result: "done" });
  assert.equal(await wire.ended(), "");
  await peer.closed;
  assert.deepEqual(held.ids, [1]);
  assert.deepEqual(
    faults.map(({ code }) => code),
    ["frame.header"],
  );
});

test("close lets running requests finish and reads no more", async (t) => {
  const held = new Held();
  const { wire, peer, faults } = await serve(t, held.options);
  wire.send(request("m", 1));
  await held.until(1);
  const closed = peer.close();
  wire.send(request("m", 2));
  await turns();
  held.answer(1);
  assert.equal((await wire.answer()).id, 1);
  assert.equal(await wire.ended(), "");
  await closed;
  assert.deepEqual(held.ids, [1]);
  assert.deepEqual(faults, []);
});

test("destroy ends everything at once", async (t) => {
  const held = new Held();
  const { wire, peer } = await serve(t, { handler: held.handler, limits: { inFlight: 1 } });
  wire.send(request("m", 1), request("m", 2));
  await held.until(1);
  peer.destroy();
  await peer.closed;
  assert.ok(held.requests[0]?.signal.aborted);
  assert.deepEqual(held.ids, [1]);
  assert.equal(await wire.ended(), "");
});

test("calls are answered both ways, with ids counted in hexadecimal", async (t) => {
  const seen: unknown[] = [];
  const handler = ({ id, params, extra }: Request): Promise<unknown> => {
    seen.push(id);
    return Promise.resolve([params, { ...extra }]);
  };
  const [a, b] = await couple(t, { handler }, { handler });
  const extra = { zbExportID: "x" };
  for (let i = 0; i < 17; i++) {
    assert.deepEqual(await a.call("m", { i }, { extra }), [{ i }, extra]);
  }
  assert.deepEqual(await b.call("m", {}), [{}, {}]);
  assert.deepEqual(seen.slice(8), ["9", "a", "b", "c", "d", "e", "f", "10", "11", "1"]);
});

test("an answer that is an error fails the call", async (t) => {
  const [client] = await couple(t, {}, faulty);
  for (const [method, code] of [
    ["nope", "rpc.method"],
    ["params", "rpc.params"],
    ["cycle", "rpc.internal"],
    ["rejects", "rpc.failed"],
  ] as const) {
    await assert.rejects(client.call(method, {}), (error) => hasCode(error, code));
  }
});

test("a call that is aborted is cancelled on the other side", async (t) => {
  const held = new Held();
  const [client] = await couple(t, {}, held.options);
  const abort = new AbortController();
  const reason = new Error("enough");
  const call = client.call("m", {}, { signal: abort.signal });
  await held.until(1);
  abort.abort(reason);
  await assert.rejects(call, reason);
  await aborted(held.first.signal);
  await assert.rejects(client.call("m", {}, { signal: abort.signal }), reason);
  assert.equal(held.requests.length, 1, "what is aborted already is not sent");
  const next = client.call("m", {});
  await held.until(2);
  held.answer(held.requests[1]?.id);
  assert.equal(await next, "done");
});

test("calls fail when the connection drops, and after", async (t) => {
  const held = new Held();
  const [client, server] = await couple(t, {}, held.options);
  const calls = [client.call("m", {}), client.call("m", {})];
  await held.until(2);
  server.destroy();
  for (const call of calls) {
    await assert.rejects(call, (error) => hasCode(error, "socket.interrupted"));
  }
  await client.closed;
  await assert.rejects(client.call("m", {}), (error) => hasCode(error, "socket.interrupted"));
  client.notify("m", {});
  await assert.rejects(client.sendExport(new Headers(), []));
});

test("calls that wait when the peer is closed say so", async (t) => {
  const held = new Held();
  const [client, server] = await couple(t, {}, held.options);
  const call = assert.rejects(client.call("m", {}), (error) => hasCode(error, "socket.closed"));
  await held.until(1);
  await client.close();
  await call;
  await aborted(held.first.signal);
  await server.closed;
});

test("notifications keep their order and are sent before the end", async (t) => {
  const held = new Held();
  const [client] = await couple(t, {}, held.options);
  for (const method of ["a", "b", "c"]) client.notify(method, {});
  await client.close();
  await held.until(3);
  assert.deepEqual(held.ids, ["a", "b", "c"]);
});

test("a pair of streams in memory serves as well", async () => {
  const [a, b] = duplexPair();
  const received: Buffer[] = [];
  const held = new Held();
  const server = new Peer(b, {
    handler: (incoming) =>
      incoming.method === "m" ? Promise.resolve(incoming.params) : held.handler(incoming),
    receiveExport: async (body) => void received.push(await receiveToy(body)),
  });
  const client = new Peer(a);
  const all = Array.from({ length: 300 }, (_, i) => client.call("m", { i }));
  assert.deepEqual(
    await Promise.all(all),
    all.map((_, i) => ({ i })),
  );
  await client.sendExport(new Headers(), [Buffer.from([3]), Buffer.from("abc")]);
  await client.call("m", {});
  assert.deepEqual(received.map(String), ["abc"]);
  const call = assert.rejects(client.call("hold", {}));
  await held.until(1);
  client.destroy();
  await call;
  await aborted(held.first.signal);
  await Promise.all([client.closed, server.closed]);
});

for (const [what, pair] of [
  ["on sockets", socketPair],
  ["in memory", async () => duplexPair()],
] as const) {
  test(`both sides may close at the same time, ${what}`, async () => {
    const [a, b] = await pair();
    const peers = [new Peer(a, echo), new Peer(b, echo)] as const;
    await peers[0].call("m", {});
    peers[0].notify("m", {});
    peers[1].notify("m", {});
    await Promise.all(peers.map((peer) => peer.close()));
  });
}
