/**
 * The thread behind {@link decompressBzip2}. Everything in it is synchronous: it reads the file, and between blocks it sleeps until
 * they are taken, so that no bomb can fill the memory.
 */
import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import unbzip2Stream from "unbzip2-stream";

interface Task {
  readonly fd: number;
  /** How many blocks may be sent, in its only element. */
  readonly credits: Int32Array;
}

const chunkSize = 256 * 1024;

function isTask(value: unknown): value is Task {
  return typeof value === "object" && value !== null && "fd" in value && "credits" in value;
}

function run({ fd, credits }: Task): void {
  const end: { failure?: string } = {};
  const stream = unbzip2Stream();
  stream.on("data", (block) => {
    while (Atomics.load(credits, 0) <= 0) Atomics.wait(credits, 0, 0);
    Atomics.sub(credits, 0, 1);
    const copy = new Uint8Array(block);
    parentPort?.postMessage(copy, [copy.buffer]);
  });
  stream.on("error", (error) => {
    // Beyond the end of its input it reads from nothing.
    end.failure ??= error instanceof TypeError ? "they are cut short" : error.message;
  });
  for (let at = 0, read = 1; read > 0 && end.failure === undefined; at += read) {
    // A new one each time: the decompressor keeps them.
    const buffer = Buffer.allocUnsafe(chunkSize);
    read = readSync(fd, buffer, 0, chunkSize, at);
    if (read > 0) stream.write(buffer.subarray(0, read));
  }
  if (end.failure === undefined) stream.end();
  parentPort?.postMessage(end, []);
}

const task: unknown = workerData;
if (isTask(task)) run(task);
