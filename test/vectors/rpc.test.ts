// Replays zb's transcripts against Kiln. Each begins on an empty store in /opt/zb/store, in a world of its own.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FreshServers } from "../support/fresh-servers.ts";
import { Wire, type WireMessage } from "../support/transcript.ts";
import { needsWorld } from "../support/world.ts";

type Text = string | { readonly b64: string };
type Raw = Text | readonly (Text | { readonly repeat: Text; readonly times: number })[];

interface Step {
  readonly from?: "client" | "server";
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Text;
  readonly raw?: Raw;
  readonly closed?: boolean;
  readonly silent?: boolean;
  readonly note?: string;
  readonly connectionUsableAfter?: boolean;
}

interface Transcript {
  readonly id: string;
  readonly note: string;
  readonly in: {
    readonly steps: readonly Step[];
    readonly volatile: readonly { kind: "buildID" | "timestamp"; value: string }[];
  };
  readonly kiln?: { readonly error?: number; readonly skip?: string; readonly status?: string };
}

const folder =
  process.env["KILN_VECTORS"] ?? fileURLToPath(new URL("../fixtures/vectors", import.meta.url));
const { cases } = JSON.parse(readFileSync(join(folder, "rpc.json"), "utf8")) as {
  cases: Transcript[];
};

function bytes(raw: Raw): Buffer {
  if (typeof raw === "string") return Buffer.from(raw, "utf8");
  if ("b64" in raw) return Buffer.from(raw.b64, "base64");
  return Buffer.concat(
    raw.map((part) => {
      if (typeof part === "string" || "b64" in part) return bytes(part);
      return Buffer.concat(Array.from({ length: part.times }, () => bytes(part.repeat)));
    }),
  );
}

/** What zb gave in the transcript -> what our server gave in its place. */
type Substitutions = Map<string, string>;

function frame(step: Step, ours: Substitutions): Buffer {
  if (step.raw !== undefined) {
    const raw = bytes(step.raw);
    return ours.size === 0 ? raw : Buffer.from(substitute(raw.toString("latin1"), ours), "latin1");
  }
  const isJson = typeof step.body === "string";
  const body =
    typeof step.body === "string" ? Buffer.from(substitute(step.body, ours)) : bytes(step.body!);
  const header = step
    .headers!.map(
      ([name, value]) =>
        `${name}: ${name === "Content-Length" && isJson ? body.length : value}\r\n`,
    )
    .join("");
  return Buffer.concat([Buffer.from(`${header}\r\n`), body]);
}

function substitute(text: string, ours: Substitutions): string {
  let result = text;
  for (const [their, our] of ours) result = result.replaceAll(their, our);
  return result;
}

/**
 * Whether `actual` says what `expected` says: error messages are free, results may have more members, and volatile values need
 * only be of their kind; the build ids met on the way are remembered.
 */
function compare(
  actual: unknown,
  expected: unknown,
  volatile: ReadonlyMap<string, string>,
  ours: Substitutions,
  at: string,
): void {
  if (typeof expected === "string" && volatile.has(expected)) {
    assert.equal(typeof actual, "string", at);
    if (volatile.get(expected) === "timestamp") {
      assert.match(actual as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, at);
      if (expected.startsWith("0001-")) assert.equal(actual, expected, at);
    } else {
      assert.match(
        actual as string,
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        at,
      );
      if (ours.has(expected)) assert.equal(actual, ours.get(expected), at);
      ours.set(expected, actual as string);
    }
  } else if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), at);
    assert.equal(actual.length, expected.length, at);
    for (const [i, item] of expected.entries())
      compare(actual[i], item, volatile, ours, `${at}[${i}]`);
  } else if (expected !== null && typeof expected === "object") {
    assert.ok(actual !== null && typeof actual === "object", `${at}: ${JSON.stringify(actual)}`);
    for (const [name, value] of Object.entries(expected)) {
      compare((actual as Record<string, unknown>)[name], value, volatile, ours, `${at}.${name}`);
    }
  } else {
    assert.equal(actual, expected, at);
  }
}

interface Answer {
  readonly id?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
  readonly result?: unknown;
}

function compareAnswer(
  actual: Answer,
  expected: Answer,
  volatile: ReadonlyMap<string, string>,
  ours: Substitutions,
): void {
  assert.deepEqual(actual.id, expected.id);
  if (expected.error !== undefined) {
    assert.equal(actual.error?.code, expected.error.code, JSON.stringify(actual));
    assert.ok(typeof actual.error?.message === "string" && actual.error.message !== "");
    assert.ok(!("result" in actual));
  } else {
    assert.ok("result" in actual, JSON.stringify(actual));
    compare(actual.result, expected.result, volatile, ours, "result");
  }
}

/** The runs of a transcript: what one side sends before the other is heard. */
function runs(steps: readonly Step[]): Step[][] {
  const all: Step[][] = [];
  for (const step of steps) {
    const isServerMessage = step.from === "server" && step.body !== undefined;
    const last = all.at(-1);
    if (isServerMessage && last?.[0]?.from === "server" && last[0].body !== undefined)
      last.push(step);
    else all.push([step]);
  }
  return all;
}

const isExport = (step: Step): boolean =>
  step.headers?.some(([name, value]) => name === "Content-Type" && value.includes("export")) ??
  false;

/** Messages of one run come in any order, but for an export, which precedes the answer to its request. */
function compareRun(
  actual: readonly WireMessage[],
  expected: readonly Step[],
  volatile: ReadonlyMap<string, string>,
  ours: Substitutions,
): void {
  const exports = actual.filter((message) =>
    message.headers.get("content-type")?.includes("export"),
  );
  const expectedExports = expected.filter(isExport);
  assert.equal(exports.length, expectedExports.length);
  for (const [i, step] of expectedExports.entries()) {
    const message = exports.find((one) => one.body.equals(bytes(step.body!)));
    assert.ok(message !== undefined, `export ${i + 1} differs`);
    const requestID = step.headers!.find(([name]) => name === "X-Request-Id");
    if (requestID !== undefined) assert.equal(message.headers.get("x-request-id"), requestID[1]);
  }
  const answers = actual
    .filter((message) => !exports.includes(message))
    .map((message) => JSON.parse(message.body.toString()) as Answer);
  for (const step of expected.filter((one) => !isExport(one))) {
    const wanted = JSON.parse(step.body as string) as Answer;
    const at = answers.findIndex((answer) => answer.id === wanted.id);
    assert.notEqual(
      at,
      -1,
      `no answer with id ${JSON.stringify(wanted.id)} among ${JSON.stringify(answers)}`,
    );
    compareAnswer(answers.splice(at, 1)[0]!, wanted, volatile, ours);
  }
}

async function replay(transcript: Transcript, socket: string): Promise<void> {
  using wire = await Wire.open(socket);
  const volatile = new Map(transcript.in.volatile.map(({ kind, value }) => [value, kind]));
  const ours: Substitutions = new Map();
  let replaced = false;
  let silenced = false;
  for (const run of runs(transcript.in.steps)) {
    const [step] = run as [Step];
    if (step.note !== undefined) {
      await waitFor(step.note, transcript, ours, socket);
    } else if (step.connectionUsableAfter !== undefined) {
      const usable = replaced || step.connectionUsableAfter;
      if (usable) await probe(wire);
      else if (!silenced) assert.ok(await wire.closes(5000), "the connection should be closed");
    } else if (step.from === "client") {
      wire.send(frame(step, ours));
    } else if (transcript.kiln?.error !== undefined) {
      // zb fails to answer here; Kiln must.
      if (replaced) continue;
      replaced = true;
      const message = await wire.message();
      assert.ok(message !== undefined, "closed instead of answered");
      assert.doesNotMatch(message.headers.get("content-type") ?? "", /export/);
      const answer = JSON.parse(message.body.toString()) as Answer;
      assert.equal(answer.error?.code, transcript.kiln.error);
    } else if (step.closed === true) {
      assert.ok(await wire.closes(5000), "the connection should be closed");
    } else if (step.silent === true) {
      silenced = true;
      assert.ok(await wire.silent(300), "nothing should be sent");
    } else {
      const messages: WireMessage[] = [];
      while (messages.length < run.length) {
        const message = await wire.message();
        assert.ok(
          message !== undefined,
          `closed after ${messages.length} of ${run.length} messages`,
        );
        messages.push(message);
      }
      compareRun(messages, run, volatile, ours);
    }
  }
}

/** A further request on the connection is answered. */
async function probe(wire: Wire): Promise<void> {
  const body = JSON.stringify({
    jsonrpc: "2.0",
    id: "probe",
    method: "zb.exists",
    params: { path: "/nowhere" },
  });
  wire.send(
    Buffer.from(
      `Content-Length: ${body.length}\r\nContent-Type: application/zb-store-rpc+json\r\n\r\n${body}`,
    ),
  );
  const message = await wire.message();
  assert.ok(message !== undefined, "the connection should go on");
  assert.deepEqual(JSON.parse(message.body.toString()), {
    jsonrpc: "2.0",
    id: "probe",
    result: false,
  });
}

/** What the recording client did on another connection. */
async function waitFor(
  note: string,
  transcript: Transcript,
  ours: Substitutions,
  socket: string,
): Promise<void> {
  const buildID = [...ours.values()].at(-1);
  assert.ok(buildID !== undefined, note);
  using other = await Wire.open(socket);
  const ask = async (method: string, params: object): Promise<Record<string, unknown>> => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    other.send(
      Buffer.from(
        `Content-Length: ${body.length}\r\nContent-Type: application/zb-store-rpc+json\r\n\r\n${body}`,
      ),
    );
    const message = await other.message();
    return (JSON.parse(message!.body.toString()) as { result: Record<string, unknown> }).result;
  };
  if (note.includes("until the build had finished")) {
    while ((await ask("zb.getBuild", { buildID }))["status"] === "active")
      await new Promise((resolve) => setTimeout(resolve, 10));
    return;
  }
  assert.match(note, /first line of the log/);
  const drvPath = /"drvPath\\?":\[?\\?"([^"\\]+)/.exec(JSON.stringify(transcript.in.steps))![1];
  for (;;) {
    const { results } = (await ask("zb.getBuild", { buildID })) as {
      results: { logSize: number }[];
    };
    if (results.length > 0) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const chunk = await ask("zb.readLog", { buildID, drvPath });
  assert.match(chunk["text"] as string, /\n/);
}

describe("transcripts of zb's wire", { skip: needsWorld }, () => {
  let servers: FreshServers;
  before(async () => {
    servers = await FreshServers.open();
  });
  after(async () => {
    await servers?.[Symbol.asyncDispose]();
  });

  for (const transcript of cases) {
    const skip =
      transcript.kiln?.skip === undefined ? false : `${transcript.id}: ${transcript.kiln.skip}`;
    test(`${transcript.id}: ${transcript.note}`, { skip, timeout: 60_000 }, async () => {
      await replay(transcript, await servers.fresh());
    });
  }
});
