/**
 * The store server: a store, the builds in it, and the protocol that clients speak.
 *
 * A daemon listens on a socket; a program that embeds the server can serve any stream, also an in-memory one, or call the methods
 * directly. Either way requests take the same road through `handlers/`.
 */
import { Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Executors } from "../build/executors.ts";
import { BuildService } from "../build/service.ts";
import { hostSystem } from "../build/system.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { parseStoreDirectory, type StorePath } from "../format/store-path.ts";
import { Headers } from "../rpc/headers.ts";
import { Peer } from "../rpc/peer.ts";
import type { HelloMessage } from "../rpc/protocol.ts";
import { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";
import { PassingChunks } from "../util/passing-chunks.ts";
import { Timer } from "../util/timer.ts";
import { callerAt, denied, embedder, nameOf, type Caller, type Door } from "./access.ts";
import type { Connection, Exporter } from "./context.ts";
import { openExecutors } from "./executors.ts";
import { dispatch } from "./handlers/table.ts";
import { Guests } from "./guests.ts";
import { Listener, type ListenerOptions, type PassedSocket, type SocketPlace } from "./listener.ts";
import { NarReceiver } from "./nar-receiver.ts";
import {
  checkBuildUsers,
  type ContentAddressBufferCreator,
  type Log,
  type ServerOptions,
} from "./options.ts";
import { credentialReader } from "./peer-credentials.ts";
import { traceBuilds } from "./traces.ts";
import { tellOfStrangers } from "./strangers.ts";
import { kilnVersion } from "./version.ts";

/** A request as {@link Server.handle} takes it. */
export interface ServerRequest {
  readonly method: string;
  readonly params?: unknown;
  readonly signal?: AbortSignal;
  /** Members of the message beside those of JSON-RPC. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Takes the export of `zb.export`, which fails without one. */
  readonly exporter?: Exporter;
}

/** Milliseconds that a message, and the next bytes of an import, may take to come. */
const messageTimeout = 60_000;
const exportTimeout = 600_000;

/** Requests of all connections that only wait for something: a line of a log wakes all that follow it. */
const mostWaits = 4096;

/** Bytes of notifications that may wait for a slow reader. */
const unsentEvents = 256 * 1024;

/** A store that is open, the builds in it, and whoever is connected. */
export class Server implements AsyncDisposable {
  /** The objects. */
  readonly store: Store;
  /** The builds. */
  readonly builds: BuildService;
  /** Where the web page is, once there is one: clients are told. */
  page: string | undefined;
  readonly #executors: Executors;
  readonly #options: ServerOptions;
  readonly #log: Log;
  readonly #listeners = new Set<Listener>();
  readonly #peers = new Set<Peer>();
  readonly #guests = new Guests();
  readonly #waits = { limit: mostWaits, running: 0 };
  #tracing: AsyncDisposable | undefined;
  #draining = false;
  #closing: Promise<void> | undefined;

  private constructor(
    store: Store,
    builds: BuildService,
    options: ServerOptions,
    executors: Executors,
  ) {
    this.store = store;
    this.builds = builds;
    this.#options = options;
    this.#executors = executors;
    this.#log = options.log ?? (() => undefined);
  }

  /**
   * Opens a store, or makes one, and is ready to build in it. Nobody else may have it open.
   *
   * @throws KilnError `store.locked` when another process has it (unless `waitForLock` is given), `path.invalid` for the store
   * directory, `users.duplicate`, `sandbox.unavailable`, `sandbox.path`, and whatever keeps the store from being opened: `database.…`, `disk.…`, `file.…`
   */
  static async open(options: ServerOptions): Promise<Server> {
    checkBuildUsers(options.buildUsers ?? []);
    const directory = parseStoreDirectory(options.directory);
    const database = resolve(options.database);
    const log = options.log ?? (() => undefined);
    const store = await Store.open({
      directory,
      database,
      realDirectory: options.realStoreDirectory,
      durability: options.durability,
      buffers: options.contentAddressBuffers,
      waitForLock: options.waitForLock,
      log,
    });
    try {
      tellOfStrangers(store, log);
      const executors = await openExecutors(store, options, log);
      const server = new Server(store, openBuilds(store, options, executors), options, executors);
      server.#tracing = await traceBuilds(server.builds);
      return server;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /**
   * Answers one request of the protocol, as {@link serve} does for those that come in on a stream.
   *
   * @throws KilnError what the reply's error would say
   */
  async handle(request: ServerRequest): Promise<unknown> {
    const { method, params, extra = {}, signal = new AbortController().signal, exporter } = request;
    const connection: Connection = { exporter, caller: embedder, builds: new Set() };
    return await this.#answer({ method, params, extra, signal, connection });
  }

  /**
   * Speaks the protocol on a stream until that ends: what a client asks is done in the name of `caller`, by default the embedding
   * program, which may do everything. Resolves when the connection is closed; never rejects.
   */
  async serve(stream: Duplex, caller: Caller = embedder): Promise<void> {
    const user = nameOf(caller);
    await using importer = this.store.importer({
      ...(user === undefined ? {} : { user }),
      isToldBySender: caller === embedder,
    });
    const exporter: Exporter = {
      // In memory, the other side gets the chunk itself.
      reusesChunks: stream instanceof Socket,
      export: async (headers, chunks, signal) => {
        const fields = new Headers();
        for (const [name, value] of headers) fields.set(name, value);
        await peer.sendExport(fields, chunks, signal);
      },
    };
    const notify = async (method: string, params: unknown): Promise<void> => {
      peer.notify(method, params);
      if (peer.unsentBytes > unsentEvents) await peer.flushed(unsentEvents);
    };
    const connection: Connection = { exporter, importer, notify, caller, builds: new Set() };
    const peer: Peer = new Peer(stream, {
      limits: { messageTimeout, exportTimeout },
      waits: this.#waits,
      handler: async ({ method, params, id, idText, extra, signal }) =>
        await this.#answer({ method, params, id, idText, extra, signal, connection }),
      receiveExport: async (body) => {
        if (caller.role === "reader") throw denied("an import", caller.role);
        // In memory, who has written a chunk may still have it.
        await importer.read(stream instanceof Socket ? new PassingChunks(body) : body);
      },
      // A client that goes away without a word is none of a daemon's worries.
      onFault: (fault) =>
        this.#log(
          fault.code === "socket.interrupted" ? "debug" : "warn",
          `connection: ${fault.message}`,
        ),
    });
    this.#peers.add(peer);
    if (this.#closing !== undefined) void peer.close();
    await peer.closed;
    this.#peers.delete(peer);
  }

  /**
   * A connection to this server within the process: `StoreClient.over(server.connect())`. The server serves the other end until
   * the stream is closed.
   */
  connect(): Duplex {
    const [ours, theirs] = duplexPair();
    // Unlike a socket's, an end of a pair does not learn that the other one is closed.
    ours.once("close", () => theirs.destroy());
    theirs.once("close", () => ours.destroy());
    void this.serve(ours);
    return theirs;
  }

  /**
   * Listens for clients, on a Unix socket or on one that was passed on. The folder of the socket must exist.
   *
   * @throws KilnError `socket.inUse` when another daemon answers there, `socket.…`
   */
  async listen(
    place: SocketPlace | PassedSocket,
    options: ListenerOptions & {
      /** Who is expected there; default `everybody`, each with what they may do. */
      readonly door?: Door;
    } = {},
  ): Promise<void> {
    const { door = "everybody", ...rest } = options;
    const accept = async (socket: Socket): Promise<void> => {
      const credentials = (await credentialReader())?.(socket);
      const caller = callerAt(door, credentials, this.#options.trustedGroup);
      using place = this.#guests.admit(caller);
      if (place === undefined) {
        this.#log("warn", `too many connections of ${nameOf(caller)}: one was refused`);
        socket.destroy();
        return;
      }
      await this.serve(socket, caller);
    };
    const listener = await Listener.open(place, (socket) => void accept(socket), {
      log: this.#log,
      ...rest,
    });
    this.#listeners.add(listener);
  }

  /** Who and where this is, as `kiln.hello` says it. */
  hello(): HelloMessage {
    return {
      name: "kiln",
      version: kilnVersion,
      protocol: 1,
      pid: process.pid,
      storeDirectory: this.store.directory,
      realStoreDirectory: this.store.realDirectory,
      system: hostSystem(),
      jobs: this.builds.jobs,
      systemDeps: [...(this.#options.sandboxPaths?.keys() ?? [])],
      sandbox: this.#executors.sandbox,
      isolation: this.#executors.isolation,
      ...(this.page !== undefined && { page: this.page }),
    };
  }

  /**
   * Writes the export stream of objects to `destination`, with all they refer to unless `excludeReferences` is set.
   *
   * @throws KilnError `store.missing` before anything is written; `store.damaged`
   */
  async export(
    destination: (chunk: Buffer) => Promise<void> | void,
    options: { readonly paths: readonly StorePath[]; readonly excludeReferences?: boolean },
  ): Promise<void> {
    const { paths, excludeReferences = false } = options;
    const plan = await this.store.export(paths, { excludeReferences });
    for await (const chunk of plan.chunks()) await destination(chunk);
  }

  /**
   * Takes objects in one by one: one receiver for each sender. Dispose of it when the sender is gone.
   *
   * `buffers` are for the analysis of Mach-O files, default those of the server's options; what was not complete when `signal`
   * aborts is dropped.
   */
  narReceiver(
    options: {
      readonly buffers?: ContentAddressBufferCreator;
      readonly signal?: AbortSignal;
    } = {},
  ): NarReceiver {
    return new NarReceiver(this.store.importer(options));
  }

  /** Makes an object of what lies in the store directory already, after it was found to be what `info` says. */
  async register(info: ObjectInfo): Promise<void> {
    await this.store.register(info);
  }

  /** Removes objects that nothing else refers to, all or none; none for none. */
  async delete(paths: Iterable<StorePath>): Promise<readonly StorePath[]> {
    return await this.store.remove(paths);
  }

  /** Removes objects and all that refer to them. */
  async deleteIncludingReferences(paths: Iterable<StorePath>): Promise<readonly StorePath[]> {
    return await this.store.remove(paths, { recursive: true });
  }

  /** Ids of the builds that ended last (or began last, while they run), newest first; none for 0 or less. */
  recentBuildIDs(limit: number): readonly string[] {
    return limit <= 0 ? [] : this.builds.recentIDs(limit);
  }

  /**
   * Refuses new builds from now on; resolves when those that run have ended by themselves. Those who are connected then have up to
   * `patience` milliseconds to ask for the results and leave; default 0.
   */
  async drain({ patience = 0 }: { readonly patience?: number } = {}): Promise<void> {
    this.#draining = true;
    await this.builds.idle();
    const left = Promise.all([...this.#peers].map(async (peer) => await peer.closed));
    if (patience > 0) await atMost(patience, left);
  }

  /**
   * Stops to listen, refuses new builds, cancels those that run and waits for them, answers what was asked, and gives the store
   * back. A second call waits for the first.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  /** As {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    const peers = Promise.all([...this.#peers].map(async (peer) => await peer.close()));
    await this.builds.close();
    await this.#tracing?.[Symbol.asyncDispose]();
    await atMost(lastAnswers, peers);
    // Who still does not read our answers, will not.
    for (const peer of this.#peers) peer.destroy();
    await peers;
    await this.store.close();
  }

  async #answer(request: {
    readonly method: string;
    readonly params: unknown;
    readonly extra: Readonly<Record<string, unknown>>;
    readonly signal: AbortSignal;
    readonly connection: Connection;
    readonly id?: string | number | bigint | null | undefined;
    readonly idText?: string | undefined;
  }): Promise<unknown> {
    const { method, params, extra, signal, connection, id, idText } = request;
    return await dispatch(method, params, {
      store: this.store,
      builds: this.builds,
      hello: () => this.hello(),
      connection,
      id,
      idText,
      extra,
      signal,
      requireOpen: () => {
        if (!this.#draining && this.#closing === undefined) return;
        throw new KilnError("server.closing", "server shutting down; not starting new builds");
      },
      log: this.#log,
    });
  }
}

/** Milliseconds that clients have at the end to take their answers. */
const lastAnswers = 2000;

/** Waits, but no longer than so many milliseconds. Those in memory keep no process from ending: the timer has to. */
async function atMost(milliseconds: number, wait: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _timer = new Timer(milliseconds, resolve);
  await Promise.race([wait, promise]);
}

/** The builds in a store, as the options want them. */
function openBuilds(store: Store, options: ServerOptions, executors: Executors): BuildService {
  const { jobs = 0, coresPerBuild = 0 } = options;
  return new BuildService({
    store,
    executors,
    jobs: jobs > 0 ? jobs : availableParallelism(),
    coresPerBuild: coresPerBuild > 0 ? coresPerBuild : availableParallelism(),
    logDirectory: resolve(options.logDirectory ?? join(dirname(options.database), "log")),
    buildDirectory: resolve(options.buildDirectory ?? tmpdir()),
    allowKeepFailed: options.allowKeepFailed ?? false,
    sandboxPaths: options.sandboxPaths?.keys() ?? [],
    buildUsers: options.buildUsers ?? [],
    signingKeys: options.signingKeys,
    buildContext: options.buildContext,
    retention: options.buildLogRetention,
    mode: options.mode ?? "embedded",
    buffers: options.contentAddressBuffers,
    log: options.log,
  });
}
