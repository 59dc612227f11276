// The transcripts of zb's wire that need no store, replayed against a peer with stub handlers: framing, JSON, method names.
// rpc.test.ts replays all of them against a whole daemon.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { exportEnd, readExport } from "../../src/format/export-stream.ts";
import { ignoring, NarReader } from "../../src/format/nar/reader.ts";
import { checkParams, isMethod } from "../../src/rpc/checkers.ts";
import { methodNotFound } from "../../src/rpc/errors.ts";
import { Headers } from "../../src/rpc/headers.ts";
import { Peer, type Request } from "../../src/rpc/peer.ts";
import { request, socketPair, Wire, type Answer } from "../../src/rpc/wire.test.support.ts";

type Text = string | { readonly b64: string };
type Part = Text | { readonly repeat: Text; readonly times: number };

interface Step {
  readonly from?: "client" | "server";
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: Text;
  readonly raw?: Part | readonly Part[];
  readonly closed?: boolean;
  readonly silent?: boolean;
  readonly connectionUsableAfter?: boolean;
}

interface Transcript {
  readonly id: string;
  readonly fn: string;
  readonly note: string;
  readonly in: { readonly steps: readonly Step[] };
}

const folder =
  process.env["KILN_VECTORS"] ?? fileURLToPath(new URL("../fixtures/vectors", import.meta.url));
const { cases }: { cases: readonly Transcript[] } = JSON.parse(
  readFileSync(join(folder, "rpc.json"), "utf8"),
);

function bytes(part: Part | readonly Part[]): Buffer {
  if (typeof part === "string") return Buffer.from(part);
  if (Array.isArray(part)) return Buffer.concat(part.map(bytes));
  if ("b64" in part) return Buffer.from(part.b64, "base64");
  if ("repeat" in part)
    return Buffer.alloc(bytes(part.repeat).length * part.times, bytes(part.repeat));
  throw new TypeError("no bytes");
}

function sent({ raw, headers = [], body = "" }: Step): Buffer {
  if (raw !== undefined) return bytes(raw);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${lines.join("")}\r\n`), bytes(body)]);
}

/** A store without anything in it. */
async function answer({ method, params, idText, peer }: Request): Promise<unknown> {
  if (!isMethod(method)) throw methodNotFound(method);
  checkParams(method, params);
  if (method === "zb.exists") return false;
  if (method === "zb.cancelBuild") return null;
  if (method !== "zb.export") throw new Error("no such object");
  const headers = new Headers();
  if (idText !== undefined) headers.set("X-Request-Id", idText);
  return peer.sendExport(headers, [exportEnd()]);
}

async function receiveExport(body: Parameters<typeof readExport>[0]): Promise<void> {
  let nar = new NarReader(ignoring);
  await readExport(body, {
    write: (chunk) => nar.write(chunk),
    get finished() {
      return nar.finished;
    },
    receive: () => {
      nar = new NarReader(ignoring);
      return Promise.resolve();
    },
  });
}

/** Error messages are free; all else has to be the same. */
function withoutMessage({ error, ...answered }: Answer): object {
  assert.notEqual(error?.message, "");
  return error === undefined ? answered : { ...answered, code: error.code };
}

/** Whether nothing comes for a while. */
async function isSilent(wire: Wire): Promise<boolean> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  return wire.pending === 0;
}

/** Consecutive answers may come in any order; what is expected of each is under its id. */
async function receive(wire: Wire, { headers = [], body = "" }: Step): Promise<[string, object]> {
  if (headers.some(([, value]) => value.includes("export"))) {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
    assert.equal(await wire.header(), `${lines.join("")}\r\n`);
    const expected = bytes(body);
    return ["export", [(await wire.take(expected.length)).equals(expected)]];
  }
  const answered = await wire.answer();
  return [JSON.stringify(answered.id), withoutMessage(answered)];
}

function expectation({ headers = [], body = "" }: Step): [string, object] {
  if (headers.some(([, value]) => value.includes("export"))) return ["export", [true]];
  const expected: Answer = JSON.parse(bytes(body).toString());
  return [JSON.stringify(expected.id), withoutMessage(expected)];
}

async function replay({ in: { steps } }: Transcript): Promise<void> {
  const [ours, theirs] = await socketPair();
  const peer = new Peer(ours, { handler: answer, receiveExport });
  using wire = new Wire(theirs);
  /** The peer has not got all of a message, so it need not close. */
  let isWaiting = false;
  const expected: [string, object][] = [];
  const received: [string, object][] = [];
  for (const step of steps) {
    isWaiting ||= step.silent === true;
    if (step.from === "client") wire.send(sent(step));
    else if (step.closed === true) assert.equal(await wire.ended(), "");
    else if (step.silent === true) assert.ok(await isSilent(wire));
    else if (step.connectionUsableAfter === true) {
      wire.send(request("zb.exists", "probe", { path: "x" }));
      assert.deepEqual(await wire.answer(), { jsonrpc: "2.0", id: "probe", result: false });
    } else if (step.connectionUsableAfter === false) {
      if (!isWaiting) assert.equal(await wire.ended(), "");
    } else {
      expected.push(expectation(step));
      received.push(await receive(wire, step));
    }
  }
  assert.deepEqual(new Map(received), new Map(expected));
  peer.destroy();
  await peer.closed;
}

describe("zb's framing and JSON", () => {
  const wanted = cases.filter(({ fn }) => ["framing", "json", "method"].includes(fn));
  assert.ok(wanted.length > 70);
  for (const transcript of wanted) {
    test(`${transcript.id}: ${transcript.note}`, () => replay(transcript));
  }
});
