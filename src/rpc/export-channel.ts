/**
 * An export that arrives on a connection, on its way to who asked for it. Nobody knows its length: it is parsed while it passes,
 * only to find its end.
 */
import { readExport } from "../format/export-stream.ts";
import { NarSkipper } from "../format/nar/skipper.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { ByteSource } from "../util/byte-reader.ts";
import { release } from "../util/passing-chunks.ts";

/** The reader's end is `for await`; it is not given the next chunk before it asks. To leave the loop throws the rest away. */
export class ExportChannel implements AsyncIterable<Buffer> {
  /** Resolves when the export begins; rejects when it never will. */
  readonly began: Promise<void>;
  readonly #began = Promise.withResolvers<void>();
  readonly #passing: boolean;
  #chunk: Buffer | undefined;
  #isOver = false;
  #isAbandoned = false;
  #error: unknown;
  /** Wakes whichever side waits: there is never more than one. */
  #wake: (() => void) | undefined;

  /** `passing`: a chunk is used up when the next one is asked for; default false. */
  constructor(passing = false) {
    this.#passing = passing;
    this.began = this.#began.promise;
    // Who asked may have gone away; everybody else looks at `began`.
    this.began.catch(() => undefined);
  }

  /** Passes on one export, which ends where it ends. */
  async receive(body: ByteSource): Promise<void> {
    this.#began.resolve();
    const tee = new Tee(body, (chunk) => this.#push(chunk));
    await readExport(tee, new NarSkipper());
    await tee.flush();
  }

  /** No more will come: the loop ends. */
  end(): void {
    this.#began.reject(new KilnError("export.missing", "the answer came without an export"));
    this.#isOver = true;
    this.#signal();
  }

  /** No more will come: the loop throws `error`. */
  fail(error: unknown): void {
    this.#began.reject(error);
    this.#error ??= error;
    this.#isAbandoned = true;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunk;
        if (this.#error !== undefined) throw this.#error;
        if (chunk !== undefined) {
          this.#chunk = undefined;
          yield chunk;
          if (this.#passing) release(chunk);
          this.#signal();
        } else if (this.#isOver) {
          return;
        } else {
          await this.#signalled();
        }
      }
    } finally {
      this.#isAbandoned = true;
      this.#signal();
    }
  }

  async #push(chunk: Buffer): Promise<void> {
    while (this.#chunk !== undefined && !this.#isAbandoned) await this.#signalled();
    if (this.#isAbandoned) return;
    this.#chunk = chunk;
    this.#signal();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #signalled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Reads on behalf of a parser, and passes on what the parser used. */
class Tee implements ByteSource {
  readonly #source: ByteSource;
  readonly #pass: (bytes: Buffer) => Promise<void>;
  /** What the parser was given last, less what it put back. */
  #used: Buffer | undefined;

  constructor(source: ByteSource, pass: (bytes: Buffer) => Promise<void>) {
    this.#source = source;
    this.#pass = pass;
  }

  async chunk(): Promise<Buffer | undefined> {
    await this.flush();
    this.#used = await this.#source.chunk();
    return this.#used;
  }

  unread(rest: Buffer): void {
    this.#used = this.#used?.subarray(0, this.#used.length - rest.length);
    this.#source.unread(rest);
  }

  async flush(): Promise<void> {
    const used = this.#used;
    this.#used = undefined;
    if (used !== undefined && used.length > 0) await this.#pass(used);
  }
}
