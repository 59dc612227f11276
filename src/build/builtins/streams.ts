/** Sources and transforms of bytes as async generators, which clean up when their reader stops. */
import { read } from "node:fs";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

const readAtPlace = promisify(read);
const chunkSize = 256 * 1024;

/** The contents of a file from `start`, `length` bytes or up to its end. Leaves the position of the descriptor alone. */
export async function* chunksOf(
  source: { readonly fd: number },
  start = 0,
  length: number = Infinity,
): AsyncGenerator<Buffer, void, undefined> {
  const end = start + length;
  for (let at = start; at < end;) {
    const size = Math.min(chunkSize, end - at);
    const { bytesRead, buffer } = await readAtPlace(
      source.fd,
      Buffer.allocUnsafe(size),
      0,
      size,
      at,
    );
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** What `transform` makes of `source`. It is destroyed when the reader stops early. */
export async function* through(
  transform: Transform,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  const feeding = pipeline(source, transform);
  // Its failure is also that of `transform`, which is seen below.
  const fed = feeding.catch(() => undefined);
  try {
    for await (const chunk of transform) if (Buffer.isBuffer(chunk)) yield chunk;
  } finally {
    transform.destroy();
    await fed;
  }
}
