import { once } from "node:events";
import { startThread } from "../../../util/start-thread.ts";
import { reasonOf } from "../fault.ts";
import { damagedData } from "./damage.ts";

/** How many decompressed blocks may be under way from the worker. */
const window = 4;

/**
 * Decompresses the bzip2 file `fd` in a thread of its own: this is the slow way, for hosts without a `bzip2` program.
 *
 * @throws KilnError `extract.damaged`, for data that are cut short, too
 */
export async function* decompressBzip2(fd: number): AsyncGenerator<Buffer, void, undefined> {
  const credits = new Int32Array(new SharedArrayBuffer(4));
  credits[0] = window;
  const worker = startThread("bzip2-worker", import.meta.url, {
    workerData: { fd, credits },
    resourceLimits: { maxOldGenerationSizeMb: 2048 },
  });
  const blocks: Buffer[] = [];
  let end: { failure?: string } | undefined;
  let wake: (() => void) | undefined;
  worker.on("message", (message: Uint8Array | { failure?: string }) => {
    if (message instanceof Uint8Array) blocks.push(Buffer.from(message.buffer));
    else end ??= message;
    wake?.();
  });
  worker.on("error", (failure) => {
    end ??= { failure: reasonOf(failure) };
    wake?.();
  });
  const exited = once(worker, "exit");
  try {
    for (;;) {
      for (let block = blocks.shift(); block !== undefined; block = blocks.shift()) {
        yield block;
        Atomics.add(credits, 0, 1);
        Atomics.notify(credits, 0);
      }
      if (end?.failure !== undefined) throw damagedData("bzip2", end.failure);
      if (end !== undefined) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    await worker.terminate();
    await exited;
  }
}
