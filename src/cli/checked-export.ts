/**
 * An export stream on its way to a store, looked at while it passes: what is broken is told with its place, which a store that only
 * closes the connection cannot do. Bytes after its end are left out.
 */
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { readExport, type ByteReaderLike } from "../format/export-stream.ts";
import { NarSkipper } from "../format/nar/skipper.ts";
import { KilnError } from "../util/kiln-error.ts";

/** The stream's bytes; fails with a KilnError that names the input. */
export function checkedExport(input: AsyncIterable<Buffer>, name: string): AsyncIterable<Buffer> {
  const passed = new PassThrough({ highWaterMark: 1024 * 1024 });
  void check(input, passed).catch((error: unknown) => {
    const fault = KilnError.from(error);
    const where = name === "-" ? "standard input" : name;
    passed.destroy(
      new KilnError(fault.code, `${where}: ${fault.message}`, {
        kind: fault.kind,
        cause: error,
        ...(fault.hint === undefined ? {} : { hint: fault.hint }),
      }),
    );
  });
  return passed;
}

async function check(input: AsyncIterable<Buffer>, passed: PassThrough): Promise<void> {
  const source = new Tee(input, passed);
  await readExport(source, new NarSkipper());
  await source.end();
}

/** Hands on each chunk when the next one is wanted: what was put back of the last one is not a part of the stream. */
class Tee implements ByteReaderLike {
  readonly #source: AsyncIterator<Buffer>;
  readonly #out: PassThrough;
  #current: Buffer | undefined;
  #unread: Buffer | undefined;

  constructor(source: AsyncIterable<Buffer>, out: PassThrough) {
    this.#source = source[Symbol.asyncIterator]();
    this.#out = out;
  }

  async chunk(): Promise<Buffer | undefined> {
    const unread = this.#unread;
    this.#unread = undefined;
    if (unread !== undefined) return unread;
    await this.#pass(this.#current);
    const next = await this.#source.next();
    this.#current = next.done === true ? undefined : next.value;
    return this.#current;
  }

  unread(rest: Buffer): void {
    if (rest.length > 0) this.#unread = rest;
  }

  async end(): Promise<void> {
    const used = (this.#current?.length ?? 0) - (this.#unread?.length ?? 0);
    await this.#pass(this.#current?.subarray(0, used));
    this.#out.end();
  }

  async #pass(bytes: Buffer | undefined): Promise<void> {
    if (bytes === undefined || bytes.length === 0 || this.#out.destroyed) return;
    if (!this.#out.write(bytes))
      await Promise.race([once(this.#out, "drain"), once(this.#out, "close")]);
  }
}
