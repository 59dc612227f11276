/** For tests: an HTTP server that answers as told, and downloads from it as the scheduler would order them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { dirname } from "node:path";
import { after, before, beforeEach } from "node:test";
import type { ContentAddressMethod } from "../../../format/content-address.ts";
import { type Hash, hashBytes, type HashType } from "../../../format/hash.ts";
import { NarWriter } from "../../../format/nar/writer.ts";
import { fetchURL, type FetchOptions } from "../fetch-url.ts";
import { type TestStore, type TestTask, testStore } from "../task.test.helper.ts";

export const contents = "Hello over HTTP\n";
export const large: Buffer = randomBytes(1_000_000);

export interface FetchSettings {
  /** Default: `/file` of the server. */
  readonly url?: string;
  readonly urls?: string;
  readonly executable?: string;
  /** What the output's hash is of; default {@link contents}. */
  readonly data?: string | Buffer;
  readonly method?: ContentAddressMethod;
  readonly hashType?: HashType;
  readonly options?: Partial<FetchOptions>;
  readonly environment?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** One for a file of tests: it is set up before and taken down after them. */
export class FetchBench {
  /** The server's URL, without a slash at its end. */
  base = "";
  /** What the server does with a request. Before each test: answer with {@link contents}. */
  answer: RequestListener = ok;
  /** What the server was asked since the test began. */
  asked: IncomingMessage[] = [];
  /** How long the last download waited before it tried again, without really doing so. */
  delays: number[] = [];
  #store: TestStore | undefined;

  constructor() {
    const server = createServer((request, response) => {
      this.asked.push(request);
      this.answer(request, response);
    });
    before(async () => {
      this.#store = await testStore();
      this.base = await listen(server);
    });
    beforeEach(() => {
      this.asked = [];
      this.answer = ok;
    });
    after(async () => {
      await close(server);
      await this.#store?.[Symbol.asyncDispose]();
    });
  }

  get store(): TestStore {
    assert.ok(this.#store);
    return this.#store;
  }

  async newTask(settings: FetchSettings = {}): Promise<TestTask> {
    const { url = `${this.base}/file`, urls = "", executable = "", method = "flat" } = settings;
    const ca = { method, hash: hashFor(settings) };
    const env = { url, urls, executable };
    return await this.store.task("builtin:fetchurl", env, { output: { type: "fixed", ca } });
  }

  async run(task: TestTask, settings: FetchSettings = {}): Promise<void> {
    this.delays = [];
    const sleep: FetchOptions["sleep"] = async (ms, signal) => {
      this.delays.push(ms);
      signal.throwIfAborted();
    };
    const context = {
      environment: settings.environment ?? {},
      signal: settings.signal ?? new AbortController().signal,
    };
    await fetchURL(task, context, { sleep, random: () => 0.5, ...settings.options });
  }

  async fetched(settings: FetchSettings = {}): Promise<Buffer> {
    const task = await this.newTask(settings);
    await this.run(task, settings);
    return await readFile(task.output);
  }

  /** Runs it to its failure; nothing may be left of the file then. */
  async failure(settings: FetchSettings, expected: object): Promise<TestTask> {
    const task = await this.newTask(settings);
    await assert.rejects(this.run(task, settings), expected);
    assert.deepEqual(await readdir(dirname(task.output)), []);
    return task;
  }

  /** Answers requests one after the other; the last answer serves all further ones. */
  inTurn(...answers: RequestListener[]): RequestListener {
    return (request, response) =>
      answers[Math.min(this.asked.length, answers.length) - 1]?.(request, response);
  }

  /** A URL of the server with a password in it. */
  withUser(path: string): string {
    return `${this.base.replace("//", "//user:p%40ss@")}${path}`;
  }
}

/** The hash that the output of a download with these settings has. */
export function hashFor({ data, method, hashType, executable }: FetchSettings): Hash {
  const bytes = Buffer.from(data ?? contents);
  const type = hashType ?? "sha256";
  if (method !== "recursive") return hashBytes(type, bytes);
  const nar = narOf(bytes, (executable ?? "") !== "");
  return hashBytes(type, type === "sha256" ? Buffer.concat([nar, Buffer.from("|")]) : nar);
}

function narOf(data: Buffer, executable: boolean): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => void chunks.push(Buffer.from(chunk)));
  writer.file("", executable, data.length);
  writer.data(data);
  writer.endFile();
  writer.end();
  return Buffer.concat(chunks);
}

/** Starts a server on any port of this machine and returns its URL. */
export async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}

export function ok(...[, response]: Parameters<RequestListener>): void {
  response.end(contents);
}

export function status(code: number, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => void response.writeHead(code, headers).end("no");
}

export function redirect(location: string, code = 302): RequestListener {
  return (_request, response) => void response.writeHead(code, { location }).end("elsewhere");
}

/** Begins an answer of the whole of {@link large} and breaks off. */
export function breakingOff(at: number, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => {
    response.writeHead(200, { "content-length": String(large.length), ...headers });
    response.write(large.subarray(0, at), () => response.destroy());
  };
}

/** Answers ranges of {@link large}, as long as it is what the client has a part of. */
export function ranges(tag: string): RequestListener {
  return (request, response) => {
    const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
    if (start === undefined || request.headers["if-range"] !== tag) {
      response.writeHead(200, { etag: tag }).end(large);
      return;
    }
    const range = `bytes ${start}-${large.length - 1}/${large.length}`;
    response
      .writeHead(206, { etag: tag, "content-range": range })
      .end(large.subarray(Number(start)));
  };
}
