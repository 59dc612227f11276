/**
 * The way to a store: the daemon at the socket, or the store opened in this process. Commands see a client either way.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreClient } from "../rpc/client.ts";
import type { HelloMessage } from "../rpc/protocol.ts";
import type { ResourceLimits, SandboxMode } from "../server/options.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import type { CommandContext } from "./context.ts";
import { LockWaiting } from "./lock-waiting.ts";
import { ownStore, storeIsThere } from "./own-store.ts";
import { requireUsable, type Settings, usable } from "./settings.ts";

export interface StoreConnection extends AsyncDisposable {
  readonly client: StoreClient;
  readonly mode: "daemon" | "embedded";
  /** What the daemon says of itself; undefined when it is zb's. */
  readonly hello: HelloMessage | undefined;
}

/** How a command wants its store. */
export interface Wishes {
  /** Builders at the same time, when there is no daemon. */
  readonly jobs?: number | undefined;
  /** The database, when there is no daemon; default the store's own place for it. */
  readonly database?: string | undefined;
  /** Whether to make the store when there is none; default false: then that is an error. */
  readonly create?: boolean;
  /** Whether a daemon must be there. */
  readonly daemonOnly?: boolean;
  /** Whether builders are isolated, when there is no daemon; default `auto`. */
  readonly sandbox?: SandboxMode | undefined;
  /** What one build may take, when there is no daemon; default: no limits. */
  readonly limits?: ResourceLimits | undefined;
  /** Ends the waiting for another process. */
  readonly signal?: AbortSignal | undefined;
}

/** Where a command's store is, found out before it is opened: the store directory is a part of every path. */
export interface Located {
  readonly settings: Settings;
  /** Connected already, if a daemon answers. */
  readonly daemon: StoreConnection | undefined;
}

/**
 * Finds the store: a daemon if one answers, else a directory this user can write to. Only the default places are negotiable: a
 * socket that was named must answer.
 *
 * @throws KilnError `socket.refused`, `socket.denied`, `daemon.directory` when the daemon serves another store directory
 */
export async function locate(
  settings: Settings,
  context: CommandContext,
  wishes: Wishes = {},
): Promise<Located> {
  const daemon = await connectDaemon(settings, context, wishes);
  if (daemon !== undefined) return { settings, daemon };
  if (settings.directoryFrom !== undefined) return { settings, daemon: undefined };
  if (usable(settings.directory) && usable(dirname(settings.database))) {
    return { settings, daemon: undefined };
  }
  const own = await ownStore(settings, context.env, wishes);
  // Who only looks is told by what is found.
  if (wishes.create === true) {
    const where = own.realDirectory === own.directory ? own.directory : `in ${own.realDirectory}`;
    context.note(`using the store ${where}: ${settings.directory} cannot be written`);
  }
  return { settings: own, daemon: await connectDaemon(own, context, wishes) };
}

/** The store that was found, opened. */
export async function open(
  located: Located,
  context: CommandContext,
  wishes: Wishes = {},
): Promise<StoreConnection> {
  const { settings, daemon } = located;
  if (daemon !== undefined) {
    if (wishes.create === true) await requireWriting(daemon, settings);
    if (wishes.database !== undefined)
      context.note(`warning: --db has no effect: the daemon at ${settings.socket} has the store`);
    return daemon;
  }
  const database = wishes.database ?? settings.database;
  requireOwn(settings, database);
  if (wishes.daemonOnly === true) throw noDaemon(settings, wishes, "nobody listens there");
  return await openEmbedded(settings, context, wishes);
}

/**
 * Checks that this process can work with the store's files, or make them.
 *
 * @throws KilnError `store.directory`
 */
function requireOwn({ realDirectory }: Settings, database: string): void {
  const folders = [realDirectory, dirname(database)];
  const blocked = folders.find((folder) => !usable(folder));
  if (blocked !== undefined && existsSync(database)) {
    const message = `the store at ${realDirectory} is another user's: ${blocked} cannot be written`;
    throw new KilnError("store.directory", message, {
      path: blocked,
      hint: "a daemon opens it to others: kiln serve --socket-group GROUP, as its owner; or use sudo; --store names another",
    });
  }
  requireUsable(...folders);
}

/** A connection for reading would be cut at the first import. */
async function requireWriting(daemon: StoreConnection, { socket }: Settings): Promise<void> {
  if (daemon.hello?.role !== "reader") return;
  await daemon.client.close();
  throw new KilnError("access.denied", `the socket ${socket} is for reading`, {
    path: socket,
    hint: "name the daemon's main socket: --store-socket",
  });
}

/** {@link locate} and {@link open} in one. */
export async function openStore(
  settings: Settings,
  context: CommandContext,
  wishes: Wishes = {},
): Promise<StoreConnection & { readonly settings: Settings }> {
  const located = await locate(settings, context, wishes);
  return { ...(await open(located, context, wishes)), settings: located.settings };
}

/** @throws KilnError `daemon.foreign` when it is zb's daemon, which has no way to do `what` */
export function kilnOnly(connection: StoreConnection, what: string): void {
  if (connection.hello !== undefined) return;
  throw new KilnError("daemon.foreign", `the daemon is zb's, which cannot ${what} for a client`, {
    hint: "stop it, or run kiln serve in its place",
  });
}

/** The daemon at the socket; undefined when nobody named the socket and nobody answers there. */
async function connectDaemon(
  settings: Settings,
  context: CommandContext,
  wishes: Wishes = {},
): Promise<StoreConnection | undefined> {
  const { socket, socketFrom } = settings;
  let client;
  try {
    client = await StoreClient.connect(socket);
  } catch (error) {
    const code = error instanceof KilnError ? error.code : "";
    if (socketFrom === undefined) {
      if (code === "socket.denied") {
        const opened = "its owner lets others in: kiln serve --socket-group GROUP";
        context.note(`no permission to use the daemon at ${socket}; ${opened}`);
      }
      if (["socket.absent", "socket.refused", "socket.denied"].includes(code)) return undefined;
    }
    throw unreachable(settings, wishes, error);
  }
  try {
    const hello = await client.hello();
    checkDirectory(settings, hello);
    return {
      client,
      mode: "daemon",
      hello,
      [Symbol.asyncDispose]: async () => await client.close(),
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** A socket that was named has to answer: that nothing is there at all is refusal enough. */
function unreachable(settings: Settings, wishes: Wishes, error: unknown): unknown {
  const { socket } = settings;
  if (hasCode(error, "socket.absent")) return noDaemon(settings, wishes, "no socket there", error);
  if (hasCode(error, "socket.refused")) return noDaemon(settings, wishes, "refused", error);
  if (!hasCode(error, "socket.denied")) return error;
  return new KilnError("socket.denied", `no permission to use the socket ${socket}`, {
    path: socket,
    hint: "join its group (kiln serve --socket-group), or use sudo",
    cause: error,
  });
}

function noDaemon(
  { socket, socketFrom, directory, directoryFrom }: Settings,
  { daemonOnly = false }: Wishes,
  why: string,
  cause?: unknown,
): KilnError {
  const store = directoryFrom === "--store" ? ` --store ${directory}` : "";
  const named = socketFrom === undefined ? "" : ` --store-socket ${socket}`;
  const serve = `kiln serve${store}${named}`;
  const without =
    socketFrom === "--store-socket" ? "leave the flag out" : `do without ${socketFrom}`;
  return new KilnError("socket.refused", `no daemon at ${socket}: ${why}`, {
    path: socket,
    hint: daemonOnly ? `${serve}: this needs a daemon` : `${serve}, or ${without}`,
    cause,
  });
}

/** A daemon of another store directory would answer every question about another store. */
function checkDirectory(settings: Settings, hello: HelloMessage | undefined): void {
  if (hello === undefined || hello.storeDirectory === settings.directory) return;
  const wanted = settings.directoryFrom === undefined ? "the default" : settings.directoryFrom;
  throw new KilnError(
    "daemon.directory",
    `the daemon at ${settings.socket} serves the store directory ${hello.storeDirectory}, not ${settings.directory} (${wanted})`,
    { path: settings.socket, hint: `--store ${hello.storeDirectory}, or another --store-socket` },
  );
}

/** Opens the store in this process, and talks to it as to a daemon. */
async function openEmbedded(
  settings: Settings,
  context: CommandContext,
  wishes: Wishes,
): Promise<StoreConnection> {
  const { directory, realDirectory, logDirectory, debug } = settings;
  const { jobs, sandbox, limits, create = false } = wishes;
  const database = wishes.database ?? settings.database;
  const isNew = !existsSync(database);
  if (!create && isNew && !storeIsThere({ ...settings, database })) {
    throw new KilnError("store.absent", `there is no store at ${directory} yet`, {
      path: directory,
      hint: "kiln build makes one; --store names another",
    });
  }
  const { openEmbeddedServer } = await import("./embedded.ts");
  const wait = new LockWaiting(directory, context, wishes.signal);
  const places = { directory, realStoreDirectory: realDirectory, database, logDirectory };
  try {
    const server = await openEmbeddedServer({
      ...places,
      jobs,
      sandbox,
      limits,
      debug,
      waitForLock: wait,
    });
    if (isNew) context.note(`made a new store in ${realDirectory}`);
    const client = StoreClient.over(server.connect());
    return {
      client,
      mode: "embedded",
      hello: server.hello(),
      [Symbol.asyncDispose]: async () => {
        await client.close();
        await server.close();
      },
    };
  } catch (error) {
    if (!wait.metDaemon) throw error;
    return await daemonThatStarts(settings, context, error);
  }
}

/** A daemon takes the lock before it listens: it gets a moment. */
async function daemonThatStarts(
  settings: Settings,
  context: CommandContext,
  error: unknown,
): Promise<StoreConnection> {
  for (let tries = 0; tries < 20; tries++) {
    const daemon = await connectDaemon({ ...settings, socketFrom: undefined }, context);
    if (daemon !== undefined) return daemon;
    await delay(100);
  }
  throw error;
}
