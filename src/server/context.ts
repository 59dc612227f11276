/** What a request handler works with. */
import type { BuildService } from "../build/service.ts";
import type { HelloMessage, Method, Params, Result } from "../rpc/protocol.ts";
import type { Importer } from "../store/importer.ts";
import type { Store } from "../store/store.ts";
import type { Caller } from "./access.ts";
import type { Log } from "./options.ts";

/** Who is at the other end of a Unix socket, where the system says so. */
export interface PeerCredentials {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** All groups, the primary one included; default that one alone. */
  readonly groups?: readonly number[];
}

/** The way of an export to whoever asked for it. */
export interface Exporter {
  /** Whether each of the chunks is done with when the next one is asked for, so that its memory may be used again; default false. */
  readonly reusesChunks?: boolean | undefined;
  /**
   * Sends one export. `headers` go before it; `chunks` are read as fast as the other side takes them.
   */
  export(
    headers: ReadonlyMap<string, string>,
    chunks: AsyncIterable<Buffer>,
    signal: AbortSignal,
  ): Promise<void>;
}

/** One client, for as long as it is connected. */
export interface Connection {
  /** Without one, exports are refused. */
  readonly exporter?: Exporter | undefined;
  /** Takes in what the client sends; its reports are what `kiln.importReport` gives. */
  readonly importer?: Importer | undefined;
  /** Tells the client something; resolves when it may be told more. */
  readonly notify?: ((method: string, params: unknown) => Promise<void>) | undefined;
  /** Who asks, and what they may do. */
  readonly caller: Caller;
  /** Ids of the builds that were started on this connection. */
  readonly builds: Set<string>;
}

/** One request. */
export interface RequestContext {
  readonly store: Store;
  readonly builds: BuildService;
  readonly hello: () => HelloMessage;
  readonly connection: Connection;
  readonly id: string | number | bigint | null | undefined;
  /** The id as JSON text; undefined for a notification. */
  readonly idText: string | undefined;
  /** Members of the message beside those of JSON-RPC. */
  readonly extra: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
  /** @throws KilnError `server.closing` when no builds are begun any more */
  readonly requireOpen: () => void;
  /** For the operator. */
  readonly log: Log;
}

/** Answers one method. What it throws becomes the error of the reply. */
export type Handler<M extends Method> = (
  params: Params<M>,
  context: RequestContext,
) => Promise<Result<M>>;
