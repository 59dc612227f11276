/** The fastest that a large file can be sent to another process, if what is sent is hashed: by two threads, with nothing around them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Limit } from "./limits.ts";

/** Reads a file into the blocks that it is given, hashes and sends them. */
const reading = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { openSync, readSync } = require("node:fs");
  const hash = require("node:crypto").createHash("sha256");
  const file = openSync(workerData, "r");
  parentPort.on("message", (memory) => {
    const block = new Uint8Array(memory);
    const length = readSync(file, block);
    hash.update(block.subarray(0, length));
    parentPort.postMessage({ memory, length }, [memory]);
  });
  parentPort.postMessage("ready");
`;
const receiving = `process.stdout.write("ready"); process.stdin.on("data", () => {});`;

/** `file` has so many bytes. */
export async function sending(file: string, bytes: number): Promise<Limit> {
  const receiver = spawn(process.execPath, ["-e", receiving], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const reader = new Worker(reading, { eval: true, workerData: file });
  await Promise.all([once(receiver.stdout, "data"), once(reader, "message")]);
  const begin = performance.now();
  const blocks: { readonly memory: ArrayBuffer; readonly length: number }[] = [];
  let wake: (() => void) | undefined;
  reader.on("message", (block: (typeof blocks)[number]) => {
    blocks.push(block);
    wake?.();
  });
  const ask = (memory: ArrayBuffer): void => reader.postMessage(memory, [memory]);
  for (let count = 0; count < 6; count++) ask(new ArrayBuffer(1024 * 1024));
  for (;;) {
    const block = blocks.shift();
    if (block === undefined) {
      await new Promise<void>((resolve) => (wake = resolve));
      continue;
    }
    if (block.length === 0) break;
    await new Promise<unknown>((done) =>
      receiver.stdin.write(new Uint8Array(block.memory, 0, block.length), done),
    );
    ask(block.memory);
  }
  receiver.stdin.end();
  await once(receiver, "exit");
  const value = bytes / 1000 / (performance.now() - begin);
  await reader.terminate();
  return { what: "a file hashed and sent to another process", value, unit: "MB/s" };
}
