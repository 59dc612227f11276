/** A thread that asks a daemon the same question every 5 ms, however long the answers take, until it is told that this is enough. */
import { parentPort, workerData } from "node:worker_threads";
import { StoreClient } from "../src/rpc/client.ts";
import type { StorePath } from "../src/format/store-path.ts";

const { socket, path } = workerData as { readonly socket: string; readonly path: StorePath };
const client = await StoreClient.connect(socket);
const waits: number[] = [];
const running = new Set<Promise<void>>();

async function ask(): Promise<void> {
  const begin = performance.now();
  await client.call("zb.info", { path });
  waits.push(performance.now() - begin);
}

await ask();
waits.length = 0;
const timer = setInterval(() => {
  const asked = ask();
  running.add(asked);
  void asked.finally(() => running.delete(asked));
}, 5);
parentPort!.once("message", () => void finish());
parentPort!.postMessage("asking", []);

async function finish(): Promise<void> {
  clearInterval(timer);
  await Promise.all(running);
  await client.close();
  parentPort!.postMessage(waits, []);
}
