/** The fastest that a large file can be received from another process, hashed, and brought to disk: by two threads, with nothing around them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fdatasync, fsyncSync, openSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { Worker } from "node:worker_threads";
import { release } from "../src/util/passing-chunks.ts";
import type { Limit } from "./limits.ts";

const blockSize = 1024 * 1024;

/** Begins to go to disk when so much of it waits for that. */
const syncStep = 16 * blockSize;

/** Blocks that may wait to be hashed. */
const mostWaiting = 4;

/** Hashes the blocks that it is given. */
const hashing = `
  const { parentPort } = require("node:worker_threads");
  const hash = require("node:crypto").createHash("sha256");
  parentPort.on("message", (block) => {
    if (block === "end") return parentPort.postMessage(hash.digest("hex"));
    hash.update(block);
    parentPort.postMessage(block.buffer, [block.buffer]);
  });
  parentPort.postMessage("ready");
`;

/** Sends so many bytes over a socket when it is told to begin. */
const sending = `
  const [socket, bytes] = process.argv.slice(1);
  const piece = require("node:crypto").randomBytes(256 * 1024);
  const server = require("node:net").createServer((connection) => {
    server.close();
    let left = Number(bytes);
    const send = () => {
      for (; left > 0; left -= piece.length) {
        if (connection.write(piece)) continue;
        left -= piece.length;
        return connection.once("drain", send);
      }
      connection.end();
    };
    connection.once("data", send);
  });
  server.listen(socket, () => process.stdout.write("ready"));
`;

/** To a file at this path. */
export async function receiving(path: string, bytes: number): Promise<Limit> {
  const socket = `${path}.socket`;
  const sender = spawn(process.execPath, ["-e", sending, socket, String(bytes)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const hasher = new Worker(hashing, { eval: true });
  await Promise.all([once(sender.stdout, "data"), once(hasher, "message")]);
  const connection = connect(socket);
  await once(connection, "connect");
  const file = openSync(path, "w");
  const hashed = Promise.withResolvers<void>();
  const spare: ArrayBuffer[] = [];
  let [waiting, unsynced, received, length] = [0, 0, 0, 0];
  let isSyncing = false;
  let block = new Uint8Array(blockSize);
  hasher.on("message", (message: ArrayBuffer | string) => {
    if (typeof message === "string") return hashed.resolve();
    spare.push(message);
    if (--waiting <= mostWaiting) connection.resume();
  });
  const pass = (): void => {
    const full = block.subarray(0, length);
    writeSync(file, full);
    hasher.postMessage(full, [full.buffer]);
    if (++waiting > mostWaiting) connection.pause();
    unsynced += length;
    if (unsynced >= syncStep && !isSyncing) {
      [unsynced, isSyncing] = [0, true];
      fdatasync(file, () => (isSyncing = false));
    }
    length = 0;
    block = new Uint8Array(spare.pop() ?? new ArrayBuffer(blockSize));
  };
  connection.on("data", (chunk: Buffer) => {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + blockSize - length);
      block.set(part, length);
      length += part.length;
      at += part.length;
      if (length === blockSize) pass();
    }
    received += chunk.length;
    release(chunk);
  });
  const begin = performance.now();
  connection.write("go");
  await once(connection, "end");
  if (length > 0) pass();
  hasher.postMessage("end", []);
  await hashed.promise;
  fsyncSync(file);
  const value = received / 1000 / (performance.now() - begin);
  closeSync(file);
  connection.destroy();
  await hasher.terminate();
  return { what: "a file received, hashed and synced", value, unit: "MB/s" };
}
