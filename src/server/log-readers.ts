/** What the builders of a build write, told as they write it. */
import { isUtf8 } from "node:buffer";
import { setTimeout as delay } from "node:timers/promises";
import type { BuildService } from "../build/service.ts";
import type { StorePath } from "../format/store-path.ts";
import { hasCode } from "../util/kiln-error.ts";

/** Milliseconds between two looks at a log of which only the newest lines are wanted. */
const tailPace = 80;

/** How many bytes are surely enough for the newest line. */
const tailBytes = 2048;

/** Some bytes of a log, as text or, if they are not UTF-8, in base 64. */
export interface LogBody {
  readonly drvPath: StorePath;
  readonly offset: number;
  readonly text?: string;
  readonly base64?: string;
}

/** Reads the logs of running builders, one reader for each. */
export class LogReaders implements AsyncDisposable {
  readonly #builds: BuildService;
  readonly #buildID: string;
  readonly #logs: "all" | "tail" | undefined;
  readonly #tell: (body: LogBody) => Promise<void>;
  readonly #readers = new Map<StorePath, { done: Promise<void>; hurry: AbortController }>();
  readonly #stop = new AbortController();

  constructor(
    builds: BuildService,
    buildID: string,
    logs: "all" | "tail" | undefined,
    tell: (body: LogBody) => Promise<void>,
  ) {
    this.#builds = builds;
    this.#buildID = buildID;
    this.#logs = logs;
    this.#tell = tell;
  }

  /** The result has begun: its log is read from now on. */
  begin(drvPath: StorePath): void {
    if (this.#logs === undefined || this.#readers.has(drvPath)) return;
    const hurry = new AbortController();
    const done = this.#read(drvPath, hurry.signal).catch(() => {
      // The log is shown as far as it can be read; the events go on.
    });
    this.#readers.set(drvPath, { done, hurry });
  }

  /** Resolves when the whole log was told; of a tail, when it is not told any more. */
  async end(drvPath: StorePath): Promise<void> {
    const reader = this.#readers.get(drvPath);
    if (reader === undefined) return;
    reader.hurry.abort();
    await reader.done;
    this.#readers.delete(drvPath);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#readers.values()].map(({ done }) => done));
  }

  async #read(drvPath: StorePath, hurry: AbortSignal): Promise<void> {
    const stop = this.#stop.signal;
    const tail = this.#logs === "tail";
    for (let offset = 0; ;) {
      stop.throwIfAborted();
      const { bytes, eof } = await this.#next(drvPath, offset, stop);
      if (bytes.length > 0) {
        const content = isUtf8(bytes)
          ? { text: bytes.toString("utf8") }
          : { base64: bytes.toString("base64") };
        await this.#tell({ drvPath, offset, ...content });
      }
      offset += bytes.length;
      if (eof || (tail && hurry.aborted)) return;
      if (!tail) continue;
      await delay(tailPace, undefined, { signal: AbortSignal.any([hurry, stop]) }).catch(() => {});
      offset = Math.max(offset, this.#builds.result(this.#buildID, drvPath).logSize - tailBytes);
    }
  }

  /** A finished log that was cut to less than has been read (`log.range`) is at its end. */
  async #next(
    drvPath: StorePath,
    offset: number,
    stop: AbortSignal,
  ): Promise<{ bytes: Buffer; eof: boolean }> {
    try {
      return await this.#builds.readLog(this.#buildID, drvPath, offset, undefined, stop);
    } catch (error) {
      if (hasCode(error, "log.range")) return { bytes: Buffer.alloc(0), eof: true };
      throw error;
    }
  }
}
