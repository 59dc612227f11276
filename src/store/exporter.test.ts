import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  chmodSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import { hasCode } from "../util/kiln-error.ts";
import { exportOrder } from "./export-order.ts";
import {
  bytesOf,
  exported,
  importInto,
  sample,
  streamOf,
  testStore,
  type Sample,
} from "./store.test.support.ts";

interface Message {
  readonly from: string;
  readonly body?: string | { readonly b64: string };
}
interface Transcript {
  readonly id: string;
  readonly note: string;
  readonly in: { readonly steps: readonly Message[] };
}

const vectors = new URL("../../test/fixtures/vectors/rpc.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(vectors, "utf8")) as { cases: Transcript[] };

function bodyOf(message: Message | undefined): Buffer {
  const body = message?.body ?? "";
  return typeof body === "string" ? Buffer.from(body) : Buffer.from(body.b64, "base64");
}

for (const { id, note, in: transcript } of cases.filter(({ id }) =>
  /^rpc\/zb\.export\/00[1-6]$/.test(id),
)) {
  test(`${id} ${note}: the bytes are zb's`, async () => {
    await using context = await testStore();
    const [sent, request, answer] = transcript.steps;
    await importInto(context.store, bodyOf(sent));
    const { params } = JSON.parse(String(bodyOf(request))) as {
      params: { paths: string[]; excludeReferences: boolean };
    };
    const plan = await context.store.export(params.paths.map(parseStorePath), params);
    assert.deepEqual(await bytesOf(plan.chunks()), bodyOf(answer));
  });
}

test("a closure is exported in zb's order, the closures of several paths one after the other", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const objects: Sample[] = [];
  for (let i = 0; i < 60; i++) {
    const references = [i - 1, i - 7, i >> 1].filter((n) => n >= 0 && n < i && i % 5 > 0);
    const paths = [...new Set(references)].map((n) => objects[n]!.storePath);
    objects.push(
      sample(directory, `o${i}`, { entries: { data: `${i} ${paths.join(" ")}` } }, paths),
    );
  }
  await importInto(store, streamOf(...objects));
  const byPath = new Map(objects.map((object) => [object.storePath, object]));
  const roots = [objects[59]!, objects[20]!, objects[44]!].map(({ storePath }) => storePath);
  const expected = await exportOrder<StorePath>(
    roots,
    (path) => byPath.get(path)?.references ?? [],
  );
  const plan = await store.export(roots);
  assert.deepEqual(plan.paths, expected);
  const bytes = await bytesOf(plan.chunks());
  assert.deepEqual(bytes, streamOf(...expected.map((path) => byPath.get(path)!)));
  assert.deepEqual(await bytesOf((await store.export(roots)).chunks()), bytes);
});

test("a path that is not in the store, or whose files are gone, is found before the first byte", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const inner = sample(directory, "inner", "inner");
  const outer = sample(directory, "outer", { entries: {} }, [inner.storePath]);
  const absent = sample(directory, "absent", "absent");
  await importInto(store, streamOf(inner, outer));
  for (const excludeReferences of [false, true]) {
    await assert.rejects(
      store.export([outer.storePath, absent.storePath], { excludeReferences }),
      (error) => hasCode(error, "store.missing") && error.path === absent.storePath,
    );
  }
  rmSync(store.realPath(inner.storePath));
  await assert.rejects(store.export([outer.storePath]), {
    code: "store.missing",
    path: inner.storePath,
  });
  const alone = await store.export([outer.storePath], { excludeReferences: true });
  assert.equal(alone.paths.length, 1);
});

test("an object that was altered fails its export, is noted, and repaired by the next import", async () => {
  await alterAndExport(200_000);
});

test("so does a large one, which is read in a thread", async () => {
  await alterAndExport(5_000_000);
});

async function alterAndExport(length: number): Promise<void> {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", { entries: { file: "0123456789".repeat(length / 10) } });
  await importInto(store, streamOf(object));
  const file = join(store.realPath(object.storePath), "file");
  chmodSync(file, 0o644);
  const alterations = [
    () => writeFileSync(file, "x", { flag: "r+" }),
    () => writeFileSync(file, "more", { flag: "a" }),
    () => truncateSync(file, 10),
    () => chmodSync(file, 0o755),
    () => rmSync(file),
  ];
  for (const alter of alterations) {
    chmodSync(store.realPath(object.storePath), 0o755);
    alter();
    const chunks: Buffer[] = [];
    await assert.rejects(
      async () => {
        for await (const chunk of (await store.export([object.storePath])).chunks())
          chunks.push(chunk);
      },
      (error) => hasCode(error, "store.damaged") && error.kind === "internal",
    );
    assert.ok(Buffer.concat(chunks).length < exported(object).length);
    await importInto(store, streamOf(object));
    assert.deepEqual(
      await bytesOf((await store.export([object.storePath])).chunks()),
      streamOf(object),
    );
    if (alter !== alterations.at(-1)) chmodSync(file, 0o644);
  }
}

test("large objects come as they were, many at once, and leave nothing open when nobody wants them any more", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "large", {
    entries: { f: "0123456789".repeat(600_000), g: "end" },
  });
  const small = sample(directory, "small", "small");
  await importInto(store, streamOf(small, object));
  const paths = [small.storePath, object.storePath, small.storePath];
  const chunks = async (): Promise<AsyncIterable<Buffer>> =>
    (await store.export(paths, { excludeReferences: true })).chunks();
  const all = await Promise.all(Array.from({ length: 12 }, async () => bytesOf(await chunks())));
  const expected = streamOf(small, object, small);
  for (const bytes of all) assert.ok(bytes.equals(expected));
  for (let i = 0; i < 20; i++) {
    let length = 0;
    for await (const chunk of await chunks()) if ((length += chunk.length) > 500_000) break;
  }
  // The thread is told to end a reading, and answers the next one after that.
  await bytesOf(await chunks());
  const place = store.realPath(object.storePath);
  const open = readdirSync("/proc/self/fd").map((fd) => linkAt(`/proc/self/fd/${fd}`));
  assert.deepEqual(
    open.filter((target) => target.startsWith(place)),
    [],
  );
});

function linkAt(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // the descriptor that listed them
  }
}

test("objects cannot be removed while they are being sent", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", "x".repeat(1_000_000));
  await importInto(store, streamOf(object));
  for await (const _ of (await store.export([object.storePath])).chunks()) {
    await assert.rejects(store.remove([object.storePath]), { code: "store.inUse" });
    break;
  }
  assert.deepEqual(await store.remove([object.storePath]), [object.storePath]);
});

test("an export comes in pieces that are worth sending, and leaves time for others", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const objects = Array.from({ length: 200 }, (_, i) => sample(directory, `o${i}`, `${i}`));
  const large = sample(directory, "large", "x".repeat(3_000_000));
  await importInto(store, streamOf(...objects, large));
  const paths = [...objects, large].map(({ storePath }) => storePath);
  const sizes: number[] = [];
  for await (const chunk of (await store.export(paths, { excludeReferences: true })).chunks()) {
    sizes.push(chunk.length);
  }
  assert.ok(Math.max(...sizes) <= 256 * 1024);
  assert.ok(sizes.length < 110, `${sizes.length} pieces`);
});
