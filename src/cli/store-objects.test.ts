import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStorePath } from "../format/store-path.ts";
import type { StoreClient } from "../rpc/client.ts";
import type { HelloMessage } from "../rpc/protocol.ts";
import type { StoreConnection } from "./connection.ts";
import { allObjects } from "./store-objects.ts";

/** A daemon with `count` objects, and what it was asked. */
function daemonWith(count: number): { connection: StoreConnection; asked: unknown[] } {
  const paths = Array.from({ length: count }, (_, i) =>
    parseStorePath(`/s/${String(i).padStart(32, "0")}-x`),
  );
  const asked: unknown[] = [];
  const call = async (_method: string, params: { after?: string; limit: number }) => {
    asked.push(params.limit);
    const after = paths.findIndex((path) => path === params.after) + 1;
    const some = paths.slice(after, after + params.limit);
    return { objects: some.map((path) => ({ path, narSize: 1 })) };
  };
  const connection = {
    client: { call } as unknown as StoreClient,
    hello: {} as HelloMessage,
  } as StoreConnection;
  return { connection, asked };
}

for (const [count, requests] of [
  [0, [100]],
  [99, [100]],
  [100, [100, 10_000]],
  [10_100, [100, 10_000, 10_000]],
  [25_000, [100, 10_000, 10_000, 10_000]],
] as const) {
  test(`a list of ${count} objects begins with few and has them all once`, async () => {
    const { connection, asked } = daemonWith(count);
    const seen: string[] = [];
    for await (const objects of allObjects(connection)) {
      seen.push(...objects.map(({ path }) => path));
    }
    assert.equal(seen.length, count);
    assert.equal(new Set(seen).size, count);
    assert.deepEqual(asked, requests);
  });
}

test("who stops reading the list asks for no more", async () => {
  const { connection, asked } = daemonWith(25_000);
  for await (const objects of allObjects(connection)) if (objects.length > 0) break;
  assert.deepEqual(asked, [100]);
});
