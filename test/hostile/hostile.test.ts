// Hostile frames, messages and imports for a daemon, and a well-behaved client beside that must notice nothing.
// KILN_SEED=N repeats the fuzzing, KILN_FUZZ_SECONDS=N makes it longer.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { exportType, frame, request } from "../../src/rpc/wire.test.support.ts";
import { sample, streamOf, textSample } from "../../src/store/store.test.support.ts";
import { randomFrom } from "../support/random.ts";
import { frames, messages } from "./messages.ts";
import { Stage } from "./stage.ts";
import { hostileStreams } from "./streams.ts";

const seed = Number(process.env["KILN_SEED"] ?? Date.now() % 2 ** 31);
const fuzzSeconds = Number(process.env["KILN_FUZZ_SECONDS"] ?? 8);

const stage = new Stage();
const { directory, innocent } = stage;
before(() => stage.open());
after(() => stage[Symbol.asyncDispose]());

/** The words that the log has for what was said in vain since `length`. */
async function logged(length: number, pattern: RegExp): Promise<void> {
  for (let tries = 0; tries < 200 && !pattern.test(stage.daemon.stderr().slice(length)); tries++) {
    await delay(10);
  }
  assert.match(stage.daemon.stderr().slice(length), pattern);
}

describe(`${frames.length} hostile frames`, () => {
  for (const { name, bytes } of frames) {
    test(`${name}: the connection ends, and the log says why`, async () => {
      const before = stage.daemon.stderr().length;
      using client = await stage.wire();
      client.send(bytes);
      // A frame that is cut is only known to be when no more can come.
      if (/cut|never ends|zeros|ones/.test(name)) client.socket.end();
      assert.equal(await client.ended(), "");
      await logged(before, /WARN: connection: \S/);
      stage.alive();
    });
  }
});

describe(`${messages.length} hostile messages`, () => {
  for (const { name, bytes, outcome } of messages) {
    test(`${name}: error ${outcome}, and the connection goes on`, async () => {
      using client = await stage.wire();
      client.send(bytes, request("zb.nop", "after"));
      const answers = await client.answers(2);
      assert.equal(answers.get('"after"')?.result, null);
      const [other] = [...answers].filter(([id]) => id !== '"after"');
      assert.equal(other?.[1].error?.code, outcome);
      assert.ok((other?.[1].error?.message.length ?? 0) > 3, "it says why");
      stage.alive();
    });
  }
});

const streams = hostileStreams(directory);

describe(`${streams.length} hostile imports`, () => {
  for (const { name, bytes } of streams) {
    test(`${name}: nothing is imported, and the connection goes on`, async () => {
      using client = await stage.wire();
      client.send(frame(bytes, exportType), request("kiln.importReport", 1));
      const { result, error } = await client.answer();
      assert.equal(error, undefined);
      const { reports } = result as { reports: { status: string; code?: string }[] };
      assert.deepEqual(
        reports.filter(({ status, code }) => status !== "rejected" || code === undefined),
        [],
      );
      stage.alive();
    });
    test(`${name}, without a length: the connection ends, or goes on after the end of the stream`, async () => {
      using client = await stage.wire();
      client.send(`Content-Type: ${exportType}\r\n\r\n`, bytes);
      client.socket.end();
      await client.ended();
      stage.alive();
    });
  }
});

describe("fuzzed connections", () => {
  test(`for ${fuzzSeconds} s whatever is changed in a valid conversation hurts nobody`, async (t) => {
    const random = randomFrom(seed);
    const deadline = performance.now() + fuzzSeconds * 1000;
    let count = 0;
    let cut = 0;
    while (performance.now() < deadline) {
      const bytes = mutated(conversation(random), random);
      const client = await stage.wire();
      const pieces = random() < 0.3 ? 1 + Math.floor(random() * 20) : 1;
      for (let i = 0; i < pieces; i++) {
        const piece = bytes.subarray(
          (i * bytes.length) / pieces,
          ((i + 1) * bytes.length) / pieces,
        );
        client.send(piece);
        if (pieces > 1 && random() < 0.2) await delay(1);
      }
      if (random() < 0.1) {
        cut++;
        client[Symbol.dispose]();
      } else {
        client.socket.end();
        await Promise.race([
          client.ended(),
          delay(20_000).then(() => assert.fail(`hangs (KILN_SEED=${seed}, ${count})`)),
        ]);
        client[Symbol.dispose]();
      }
      count++;
      stage.alive();
    }
    t.diagnostic(`seed ${seed}: ${count} conversations, ${cut} of them cut`);
    assert.ok(count > 20, `${count} conversations`);
  });
});

/** What a client might say that means well. */
function conversation(random: () => number): Buffer {
  const name = `fuzz-${Math.floor(random() * 1e9)}`;
  const object = sample(directory, name, {
    entries: { a: "a", bin: { entries: { run: { executable: name } } }, link: { target: "a" } },
  });
  const text = textSample(directory, `${name}.drv`, `Derive(${name})`, [object.storePath]);
  const stream = streamOf(object, text);
  const parts = [
    request("kiln.hello", 1),
    frame(stream, exportType),
    request("zb.exists", 2, { path: object.storePath }),
    request("zb.info", 3, { path: text.storePath }),
    request("zb.export", 4, { paths: [innocent.storePath] }),
    request("zb.realize", 5, { drvPath: [text.storePath] }),
    request("kiln.builds", 6, { limit: 3 }),
    request("zb.readLog", 7, { buildID: "x", drvPath: text.storePath }),
    request("$/cancelRequest", undefined, { id: 7 }),
    request("kiln.missing", 8, { paths: [object.storePath] }),
  ];
  return Buffer.concat(parts.filter(() => random() < 0.7));
}

function mutated(original: Buffer, random: () => number): Buffer {
  let bytes = Buffer.from(original);
  const at = (): number => Math.floor(random() * (bytes.length + 1));
  for (let left = 1 + Math.floor(random() * 4); left > 0; left--) {
    const place = at();
    const what = Math.floor(random() * 7);
    if (what === 0 && bytes.length > 0)
      bytes[place % bytes.length]! ^= 1 << Math.floor(random() * 8);
    else if (what === 1) bytes = bytes.subarray(0, place);
    else if (what === 2)
      bytes = Buffer.concat([
        bytes.subarray(0, place),
        bytes.subarray(Math.min(bytes.length, place + Math.floor(random() * 40))),
      ]);
    else if (what === 3)
      bytes = Buffer.concat([
        bytes.subarray(0, place),
        Buffer.from(Array.from({ length: Math.floor(random() * 40) }, () => random() * 256)),
        bytes.subarray(place),
      ]);
    else if (what === 4) bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(at())]);
    else if (what === 5 && bytes.length >= 8) {
      const word = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n][
        Math.floor(random() * 7)
      ]!;
      bytes.writeBigUInt64LE(word, Math.min(bytes.length - 8, place - (place % 8)));
    } else if (bytes.length > 0) bytes[place % bytes.length] = Math.floor(random() * 256);
  }
  return bytes;
}

test("after all that, nothing is in the store that should not be, and the bystander has noticed nothing", async (t) => {
  t.diagnostic(await stage.check(/-fuzz-\d+(\.drv)?$/));
});
