// How fast the wire is: requests through two peers on a socket pair, and an export through them. Both ends are in this process.
//   node scripts/bench-rpc.ts
import { checkParams } from "../src/rpc/checkers.ts";
import { Headers } from "../src/rpc/headers.ts";
import { Peer } from "../src/rpc/peer.ts";
import { socketPair } from "../src/rpc/wire.test.support.ts";

const path = "/opt/zb/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt";
const info = {
  narHash: "sha256-wHCu2TZsWxzPbDUYfXvNDV0/VjN5QDF1OtawWnXtu3Y=",
  narSize: 128,
  references: [path],
  ca: "fixed:r:sha256:1qicirpsz48j7a2r5h9lj04kipdyvxanwglv9ymfq0qsv7isywdf",
};
const exportSize = 1024 * 1024 * 1024;
const chunk = Buffer.alloc(256 * 1024);

const [a, b] = await socketPair();
let received = 0;
const server = new Peer(a, {
  handler: async ({ params }) => {
    checkParams("zb.info", params);
    return { info };
  },
  receiveExport: async (body) => {
    while (received < exportSize) received += (await body.chunk())?.length ?? Infinity;
  },
});
const client = new Peer(b);

/** Requests per second, so many at a time. */
async function rate(depth: number, total: number): Promise<number> {
  let left = total;
  const ask = async (): Promise<void> => {
    while (left-- > 0) await client.call("zb.info", { path });
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: depth }, ask));
  return Math.round(total / ((performance.now() - start) / 1000));
}

await rate(64, 30_000);
console.log(`zb.info, 64 at a time: ${await rate(64, 100_000)}/s`);
console.log(`zb.info, one by one: ${await rate(1, 20_000)}/s`);

function* chunks(): Generator<Buffer> {
  for (let sent = 0; sent < exportSize; sent += chunk.length) yield chunk;
}
const start = performance.now();
await client.sendExport(new Headers(), chunks());
await client.close();
await server.closed;
const seconds = (performance.now() - start) / 1000;
console.log(`an export: ${Math.round(exportSize / 1e6 / seconds)} MB/s`);
