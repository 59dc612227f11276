/** One URL, tried until it works or there is no hope: with redirects, and going on where the last try ended. */
import { createGunzip } from "node:zlib";
import { type Dispatcher, request } from "undici";
import { builderFault, quote } from "../fault.ts";
import { through } from "../streams.ts";
import type { Dispatchers } from "./dispatchers.ts";
import { DownloadError, networkError, statusError } from "./download-error.ts";
import type { FixedFile } from "./fixed-file.ts";
import type { FetchOptions } from "./options.ts";
import { authorizationFor, httpURL, isAllowedHost, shownTarget, shownURL } from "./urls.ts";

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export interface DownloadOptions {
  readonly file: FixedFile;
  readonly dispatchers: Dispatchers;
  readonly limits: FetchOptions;
  readonly signal: AbortSignal;
  /** Called for every chunk; `total` where the server told it. */
  readonly progress: (done: number, total: number | undefined) => void;
  /** Told of a failed try before the next one begins. */
  readonly retrying: (error: DownloadError, delay: number) => void;
}

type Answer = Dispatcher.ResponseData;

export class Download {
  readonly #url: URL;
  readonly #options: DownloadOptions;
  readonly #shown: string;
  /** What must still hold of the file at the server for its rest to be of use: an ETag or a date. */
  #validator: string | undefined;

  constructor(url: URL, options: DownloadOptions) {
    this.#url = url;
    this.#options = options;
    this.#shown = shownURL(url);
  }

  /**
   * Leaves the whole file, its hash compared with the wanted one.
   *
   * @throws KilnError of kind `builder`; the reason of the signal
   */
  async run(): Promise<void> {
    const { limits, signal, retrying } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#attempt();
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof DownloadError) || !error.transient) throw error;
        if (attempt >= limits.attempts) throw error;
        const delay = delayBefore(attempt, error.wait, limits);
        retrying(error, delay);
        await limits.sleep(delay, signal);
      }
    }
  }

  async #attempt(): Promise<void> {
    const { file, signal } = this.#options;
    const from = this.#validator === undefined ? 0 : file.size;
    const answer = await this.#request(from);
    try {
      await this.#receive(answer, from);
    } finally {
      answer.body.destroy();
    }
    const got = await file.wrongHash(signal);
    if (got === undefined) return;
    this.#validator = undefined;
    const message = `${this.#shown} is not what was declared: wanted ${file.wanted.sri()}, got ${got.sri()}`;
    // Pieces of two tries may not belong together.
    throw new DownloadError("fetch.hash", message, { transient: from > 0 });
  }

  /** The answer after all redirects; its status is 200 or 204, or 206 when it begins `from` there. */
  async #request(from: number): Promise<Answer> {
    let url = this.#url;
    for (let followed = 0; ; followed++) {
      this.#checkHost(url);
      const answer = await this.#requestOnce(url, from);
      if (!redirects.has(answer.statusCode)) return await this.#accepted(answer, from);
      const location = headerOf(answer, "location");
      if (location === "") return await this.#accepted(answer, from);
      answer.body.destroy();
      if (followed >= this.#options.limits.maxRedirects) {
        const message = `${this.#shown}: stopped after ${followed} redirects`;
        throw builderFault("fetch.redirect", message);
      }
      url = httpURL(location, url);
    }
  }

  async #requestOnce(url: URL, from: number): Promise<Answer> {
    const { dispatchers, limits, signal } = this.#options;
    const authorization = authorizationFor(url);
    const headers: Record<string, string> = {
      "user-agent": "zb",
      accept: "*/*",
      ...(authorization !== undefined && { authorization }),
      // Positions in a range are those of the encoded contents.
      ...(from === 0
        ? { "accept-encoding": "gzip" }
        : { range: `bytes=${from}-`, "if-range": this.#validator ?? "" }),
    };
    const address = new URL(url);
    address.username = "";
    address.password = "";
    const dispatcher = dispatchers.for(url);
    try {
      const answer = await request(address, {
        dispatcher,
        headers,
        signal,
        headersTimeout: limits.headersTimeout,
        bodyTimeout: limits.idleTimeout,
      });
      // An answer that nobody reads to its end says so by an error, which is of no interest then.
      answer.body.on("error", () => undefined);
      return answer;
    } catch (error) {
      throw networkError(this.#nameOf(url), error);
    }
  }

  async #accepted(answer: Answer, from: number): Promise<Answer> {
    const { limits } = this.#options;
    const status = answer.statusCode;
    if (status === 200 || status === 204) return answer;
    if (status === 206 && from > 0 && rangeStart(answer) === from) return answer;
    answer.body.destroy();
    if (from > 0 && (status === 206 || status === 416)) {
      this.#validator = undefined;
      const message = `${this.#shown} cannot be resumed`;
      throw new DownloadError("fetch.range", message, { transient: true });
    }
    const retryAfter = headerOf(answer, "retry-after");
    const text = answer.statusText;
    throw statusError(this.#shown, { code: status, text, retryAfter }, limits.clock.now());
  }

  async #receive(answer: Answer, from: number): Promise<void> {
    const { file, progress } = this.#options;
    const isRest = answer.statusCode === 206;
    if (!isRest && file.size > 0) await file.clear();
    const isEncoded = headerOf(answer, "content-encoding").toLowerCase() === "gzip";
    const length = lengthOf(answer);
    const total = length === undefined || isEncoded ? undefined : length + (isRest ? from : 0);
    this.#checkSize(total ?? 0);
    if (!isRest) this.#validator = isEncoded ? undefined : validatorOf(answer);
    progress(file.size, total);
    for await (const chunk of this.#contentsOf(answer, isEncoded && length !== 0)) {
      this.#checkSize(file.size + chunk.length);
      await file.append(chunk);
      progress(file.size, total);
    }
    if (total !== undefined && file.size !== total) {
      const message = `${this.#shown}: ${file.size} of ${total} bytes came`;
      throw new DownloadError("fetch.network", message, { transient: file.size < total });
    }
  }

  /** Only what the network and gzip throw is changed here, not what the reader does. */
  async *#contentsOf(answer: Answer, isEncoded: boolean): AsyncGenerator<Buffer, void, undefined> {
    try {
      if (isEncoded) yield* through(createGunzip(), answer.body);
      else for await (const chunk of answer.body) if (Buffer.isBuffer(chunk)) yield chunk;
    } catch (error) {
      throw networkError(this.#shown, error);
    }
  }

  #checkHost(url: URL): void {
    const { allowedHosts } = this.#options.limits;
    if (allowedHosts === undefined || isAllowedHost(url, allowedHosts)) return;
    const whence = url === this.#url ? "" : `${this.#shown} led to it: `;
    const message = `${whence}${quote(url.hostname)} is not one of the hosts that are allowed`;
    throw builderFault("fetch.host", message);
  }

  #checkSize(size: number): void {
    const { maxBytes } = this.#options.limits;
    if (size <= maxBytes) return;
    throw builderFault("fetch.size", `${this.#shown} has more than ${maxBytes} bytes`);
  }

  #nameOf(url: URL): string {
    return url === this.#url ? this.#shown : `${this.#shown} (redirected to ${shownTarget(url)})`;
  }
}

/** Twice as long each time, and not the same for all who wait for one server. */
function delayBefore(attempt: number, asked: number | undefined, limits: FetchOptions): number {
  const regular = limits.firstDelay * 2 ** (attempt - 1) * (0.5 + limits.random() / 2);
  return Math.min(limits.longestDelay, Math.max(asked ?? 0, regular));
}

function headerOf(answer: Answer, name: string): string {
  const value = answer.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? "";
}

function lengthOf(answer: Answer): number | undefined {
  const text = headerOf(answer, "content-length");
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Where the bytes of a partial answer begin. */
function rangeStart(answer: Answer): number | undefined {
  const start = /^bytes (\d{1,15})-/.exec(headerOf(answer, "content-range"))?.[1];
  return start === undefined ? undefined : Number(start);
}

/** Weak ETags do not promise the same bytes. */
function validatorOf(answer: Answer): string | undefined {
  if (headerOf(answer, "accept-ranges").toLowerCase() === "none") return undefined;
  const tag = headerOf(answer, "etag");
  if (tag.startsWith('"')) return tag;
  return headerOf(answer, "last-modified") || undefined;
}
