import { ReadableStream } from "node:stream/web";
import xz from "xz-decompress";
import { Limiter } from "../../../util/limiter.ts";
import { damagedData } from "./damage.ts";
import { reasonOf } from "../fault.ts";

/** The WebAssembly module has room for one stream at a time, and its own queue cannot be left again. */
const turn = new Limiter(1);

/** Error codes of XZ Embedded (xz.h). */
const reasons: ReadonlyMap<number, string> = new Map([
  [3, "out of memory"],
  [4, "it needs too much memory"],
  [5, "it is not an xz file"],
  [6, "it needs a feature for which the xz program must be installed"],
  [7, "wrong contents"],
  [8, "cut short"],
]);

/**
 * Decompresses xz in WebAssembly: any number of streams, with any check but SHA-256, without filters for machine code.
 *
 * @throws KilnError `extract.damaged`
 */
export async function* decompressXz(
  source: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  using _turn = await turn.acquire(signal);
  try {
    for await (const chunk of new xz.XzReadableStream(ReadableStream.from(source))) {
      if (chunk.length > 0) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
  } catch (error) {
    const code = /error code (\d+)/.exec(reasonOf(error))?.[1];
    if (code === undefined) throw error;
    throw damagedData("xz", reasons.get(Number(code)) ?? `error ${code}`, error);
  }
}
