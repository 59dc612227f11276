/**
 * A store on the other end of a connection: Kiln's daemon, an embedded store, or zb v0.1.0 and v0.2.
 *
 * All on one connection. While an export arrives or an import is sent, other answers and questions wait; who wants them not to
 * opens another client.
 */
import { connect, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { StorePath } from "../format/store-path.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { checkResult } from "./checkers.ts";
import { methodNotFound } from "./errors.ts";
import { ExportChannel } from "./export-channel.ts";
import { Headers } from "./headers.ts";
import { Peer, type Request } from "./peer.ts";
import {
  eventMethod,
  exportIDHeader,
  exportIDMember,
  progressMethod,
  requestIDHeader,
  type EventMessage,
  type EventNotification,
  type HelloMessage,
  type Method,
  type Params,
  type ProgressMessage,
  type ProgressNotification,
  type Result,
} from "./protocol.ts";
import type { ByteReader } from "../util/byte-reader.ts";
import type { Chunks } from "./writer.ts";

/** Told of every notification of the server. */
export type NotificationListener = (method: string, params: unknown) => void;

/** Of every call. */
export interface AbortOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What to export. */
export interface ExportOptions extends AbortOptions {
  /** Send exactly the given paths, in the given order, instead of their closure. Default false. */
  readonly excludeReferences?: boolean | undefined;
  /** A chunk is used up when the next one is asked for: its memory may be given back then. Default false: chunks may be kept. */
  readonly passing?: boolean | undefined;
}

/** What to be told of a build. */
export interface WatchOptions extends AbortOptions {
  /** The `seq` of the last event that is known; default 0: from the beginning. */
  readonly after?: number | undefined;
  /** Also `log` events: all, or only the newest lines a few times a second; default none. */
  readonly logs?: "all" | "tail" | undefined;
}

/** A list of builds or results may be longer than what zb would read. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** Asks a store on the other end of a connection. Everything fails with `socket.interrupted` when the connection is lost. */
export class StoreClient implements AsyncDisposable {
  readonly #peer: Peer;
  /** Whether what is read belongs to this process alone: two ends in one process share their memory. */
  readonly #ownsChunks: boolean;
  readonly #listeners = new Set<NotificationListener>();
  /** Exports that are expected, by their `zbExportID` and by the id of the request. */
  readonly #exportsByID = new Map<string, ExportChannel>();
  readonly #exportsByRequest = new Map<string, ExportChannel>();
  #lastExport = 0;

  /**
   * Connects to the daemon that listens at `socketPath`.
   *
   * @throws KilnError `socket.absent`, `socket.refused`, `socket.denied`, `socket.busy`, `socket.failed`, all naming the path; the reason of
   * `signal`
   */
  static async connect(socketPath: string, options: AbortOptions = {}): Promise<StoreClient> {
    return new StoreClient(await openSocket(socketPath, options.signal));
  }

  /** A client on a connection that exists: one end of `stream.duplexPair()`, a socket. */
  static over(stream: Duplex): StoreClient {
    return new StoreClient(stream);
  }

  private constructor(stream: Duplex) {
    this.#ownsChunks = stream instanceof Socket;
    this.#peer = new Peer(stream, {
      handler: (request) => this.#receive(request),
      receiveExport: (body, headers) => this.#receiveExport(body, headers),
      // A daemon may be slow to take an import: it waits for locks, and does not read meanwhile.
      limits: { messageBytes: maxAnswerBytes, stallTimeout: Infinity },
    });
  }

  /** Resolves when the connection is closed, whoever did it. */
  get closed(): Promise<void> {
    return this.#peer.closed;
  }

  /**
   * Calls a method. An abort of `signal` cancels the request.
   *
   * @throws RpcError the server's error: `rpc.method` (no such method: zb), `rpc.params`, `rpc.cancelled`, `rpc.failed`; KilnError
   * `socket.interrupted` when the connection ends before the answer, `socket.closed` after {@link close}; the reason of `signal`
   */
  async call<M extends Method>(
    method: M,
    params: Params<M>,
    options: AbortOptions = {},
  ): Promise<Result<M>> {
    return checkResult(method, await this.#peer.call(method, params, options));
  }

  /** Calls a method without waiting for anything: `zb.cancelBuild`, usually. */
  notify<M extends Method>(method: M, params: Params<M>): void {
    this.#peer.notify(method, params);
  }

  /** What the server says of itself; undefined if it is not Kiln. */
  async hello(options: AbortOptions = {}): Promise<HelloMessage | undefined> {
    try {
      return await this.call("kiln.hello", {}, options);
    } catch (error) {
      if (hasCode(error, "rpc.method")) return undefined;
      throw error;
    }
  }

  /**
   * Sends an export stream into the store. Resolves when it has been sent; what is called after that finds it imported. Whether an
   * object was taken tell `zb.info` and `kiln.importReport`. When `chunks` fails midway the connection is lost.
   */
  importStream(chunks: Chunks): Promise<void> {
    return this.#peer.sendExport(new Headers(), chunks);
  }

  /** Resolves when the store has taken all imports sent so far. */
  async barrier(options: AbortOptions = {}): Promise<void> {
    try {
      await this.call("zb.nop", {}, options);
    } catch (error) {
      // zb v0.1.0 does not know it, but says so only after the import.
      if (!hasCode(error, "rpc.method")) throw error;
    }
  }

  /**
   * Objects of the store as an export stream, by default with their closure. Resolves when the stream begins. It has to be read to
   * its end, or left by leaving the loop: everything else on the connection waits for it.
   *
   * @throws as {@link call}, here or while the stream is read
   */
  async export(
    paths: readonly StorePath[],
    options: ExportOptions = {},
  ): Promise<AsyncIterable<Buffer>> {
    const { excludeReferences = false, passing = false, signal } = options;
    const channel = new ExportChannel(passing && this.#ownsChunks);
    const exportID = (++this.#lastExport).toString(16);
    let requestID = "";
    this.#exportsByID.set(exportID, channel);
    const answered = this.#peer.call(
      "zb.export",
      { paths, excludeReferences },
      {
        signal,
        extra: { [exportIDMember]: exportID },
        onID: (id) => {
          requestID = JSON.stringify(id);
          this.#exportsByRequest.set(requestID, channel);
        },
      },
    );
    answered
      .then(
        () => channel.end(),
        (error: unknown) => channel.fail(error),
      )
      .finally(() => {
        this.#exportsByID.delete(exportID);
        this.#exportsByRequest.delete(requestID);
      });
    await channel.began;
    return channel;
  }

  /**
   * Follows the events of a build; resolves when it is over and all events have been given.
   *
   * @throws as {@link call}
   */
  async watch(
    buildID: string,
    onEvent: (event: EventMessage) => void,
    options: WatchOptions = {},
  ): Promise<void> {
    const { after = 0, logs, signal } = options;
    let watch: string | undefined;
    using _ = this.onNotification((method, params) => {
      if (method !== eventMethod || !isEvent(params) || params.watch !== watch) return;
      onEvent(params.event);
    });
    const onID = (id: string): void => void (watch = id);
    const result = await this.#peer.call("kiln.watch", { buildID, after, logs }, { signal, onID });
    checkResult("kiln.watch", result);
  }

  /**
   * Calls a method that takes long (`kiln.collect`, `kiln.verify`) and is told how far it is, a few times a second.
   *
   * @throws as {@link call}
   */
  async callWithProgress<M extends Method>(
    method: M,
    params: Params<M>,
    onProgress: (progress: ProgressMessage) => void,
    options: AbortOptions = {},
  ): Promise<Result<M>> {
    let request: string | undefined;
    using _ = this.onNotification((name, told) => {
      if (name !== progressMethod || !isProgress(told) || told.request !== request) return;
      onProgress(told.progress);
    });
    const onID = (id: string): void => void (request = id);
    return checkResult(method, await this.#peer.call(method, params, { ...options, onID }));
  }

  /** Has `listener` told of every notification, until what is returned is disposed of. */
  onNotification(listener: NotificationListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Ends the connection after what has been sent; calls that are not answered yet fail with `socket.closed`. */
  close(): Promise<void> {
    return this.#peer.close();
  }

  /** As {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #receive(request: Request): Promise<unknown> {
    if (!request.notification) return Promise.reject(methodNotFound(request.method));
    for (const listener of this.#listeners) listener(request.method, request.params);
    return Promise.resolve();
  }

  async #receiveExport(body: ByteReader, headers: Headers): Promise<void> {
    const channel =
      this.#exportsByID.get(headers.get(exportIDHeader) ?? "") ??
      this.#exportsByRequest.get(headers.get(requestIDHeader) ?? "");
    if (channel !== undefined) return channel.receive(body);
    // Nobody waits for it any more: read to its end, to find the next message.
    const nobody = new ExportChannel();
    nobody.fail(new KilnError("socket.closed", "nobody asked for this export"));
    await nobody.receive(body);
  }
}

function isProgress(params: unknown): params is ProgressNotification {
  return (
    typeof params === "object" && params !== null && "request" in params && "progress" in params
  );
}

function isEvent(params: unknown): params is EventNotification {
  return typeof params === "object" && params !== null && "watch" in params && "event" in params;
}

/** What went wrong by the system's word for it. */
const connectFaults: Readonly<Record<string, readonly [code: string, what: string]>> = {
  ENOENT: ["socket.absent", "there is no such socket"],
  ENOTDIR: ["socket.absent", "there is no such socket"],
  ECONNREFUSED: ["socket.refused", "refused"],
  EACCES: ["socket.denied", "permission denied"],
  EAGAIN: ["socket.busy", "it has more connections waiting than it takes"],
};

/** For so many milliseconds a daemon may have more connections waiting than the system holds for it. */
const busyFor = 10_000;

async function openSocket(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  const start = performance.now();
  for (;;) {
    try {
      return await tryToConnect(path, signal);
    } catch (error) {
      if (!hasCode(error, "socket.busy") || performance.now() - start > busyFor) throw error;
    }
    await delay(20, undefined, signal === undefined ? {} : { signal });
  }
}

function tryToConnect(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      const reason: unknown = signal?.reason;
      socket.destroy();
      reject(reason);
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      signal?.removeEventListener("abort", onAbort);
      const [code, what] = connectFaults[error.code ?? ""] ?? ["socket.failed", error.message];
      reject(
        new KilnError(code, `no daemon at ${path}: ${what}`, {
          path,
          hint: "kiln serve",
          cause: error,
        }),
      );
    };
    const socket = connect({ path, allowHalfOpen: true });
    socket.once("error", onError);
    socket.once("connect", () => {
      signal?.removeEventListener("abort", onAbort);
      socket.removeListener("error", onError);
      resolve(socket);
    });
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
