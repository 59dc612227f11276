/**
 * The Unix socket on which clients come in.
 *
 * The socket gets its mode and group under a private name and is then moved into place, so that nobody connects before they are
 * set, and a stale socket of a dead daemon is replaced in one step. A living daemon's socket is never taken away.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  renameSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { spaceHint } from "../files/file-error.ts";
import { descriptorLimit } from "../util/descriptor-limit.ts";
import { KilnError } from "../util/kiln-error.ts";

/** Linux takes 107 bytes and a zero (sun_path of unix(7)); macOS 103. */
const longestSocketPath = process.platform === "linux" ? 107 : 103;

/** A socket to be made. */
export interface SocketPlace {
  readonly path: string;
  /** Permission bits; default 0660. */
  readonly mode?: number;
  /** Group that owns the socket; default the process's own. */
  readonly group?: number;
}

/** A listening socket that somebody else (systemd) made and passed on. */
export interface PassedSocket {
  readonly fd: number;
}

/** How clients are let in. */
export interface ListenerOptions {
  /** Connections at the same time; more are closed at once. Default 1000, or as many as there are descriptors for. */
  readonly maxConnections?: number;
  /** Told of trouble that ends nothing: a refused connection, no more descriptors. */
  readonly log?: (level: "warn", text: string) => void;
}

export class Listener implements AsyncDisposable {
  readonly #server: NetServer;
  /** What is to be removed at the end, if it is still ours. */
  readonly #socket: { readonly path: string; readonly made: Stats } | undefined;

  private constructor(
    server: NetServer,
    socket: { readonly path: string; readonly made: Stats } | undefined,
  ) {
    this.#server = server;
    this.#socket = socket;
  }

  /**
   * Begins to listen; `accept` gets each new connection.
   *
   * @throws KilnError `socket.inUse` when a daemon answers there, `socket.taken` when something that is no socket lies there,
   * `socket.tooLong`, `socket.denied`
   */
  static async open(
    place: SocketPlace | PassedSocket,
    accept: (connection: Socket) => void,
    options: ListenerOptions = {},
  ): Promise<Listener> {
    // Half-closed connections are still answered: a client may send its requests, end, and read.
    const server = createServer({ allowHalfOpen: true });
    server.maxConnections = options.maxConnections ?? mostConnections();
    server.on("connection", accept);
    server.on("drop", () => options.log?.("warn", "too many connections: one was refused"));
    if ("fd" in place) {
      await listening(server, { fd: place.fd });
      server.on("error", (error) => options.log?.("warn", `socket: ${error.message}`));
      return new Listener(server, undefined);
    }
    await makeRoom(place.path);
    const made = await bind(server, place);
    server.on("error", (error) => options.log?.("warn", `socket: ${error.message}`));
    return new Listener(server, { path: place.path, made });
  }

  /** Stops to accept and takes the socket file away, unless it was passed on. Open connections go on. */
  close(): void {
    this.#server.close();
    if (this.#socket === undefined) return;
    try {
      const there = lstatSync(this.#socket.path);
      const ours = there.ino === this.#socket.made.ino && there.dev === this.#socket.made.dev;
      if (ours) unlinkSync(this.#socket.path);
    } catch {
      // Gone already.
    }
  }

  // eslint-disable-next-line require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** Whether a daemon answers at `path`: `refused` is a socket that nobody listens at. */
export async function probeSocket(
  path: string,
): Promise<"answers" | "refused" | "absent" | "denied" | "noSocket"> {
  try {
    if (!lstatSync(path).isSocket()) return "noSocket";
  } catch (error) {
    return codeOf(error) === "EACCES" ? "denied" : "absent";
  }
  const { promise, resolve } = Promise.withResolvers<"answers" | "refused" | "absent" | "denied">();
  const probe = connect(path);
  probe.once("connect", () => resolve("answers"));
  probe.once("error", (error) => {
    const code = codeOf(error);
    if (code === "ENOENT") resolve("absent");
    else if (code === "EACCES" || code === "EPERM") resolve("denied");
    // A full backlog (EAGAIN) is a living daemon's.
    else resolve(code === "ECONNREFUSED" ? "refused" : "answers");
  });
  try {
    return await promise;
  } finally {
    probe.destroy();
  }
}

/** What a connection may keep open, however long its client waits: itself, and a deep object on its way in and another on its way out. */
const descriptorsOfConnection = 16;

function mostConnections(): number {
  return Math.min(1000, Math.floor((descriptorLimit() ?? Infinity) / descriptorsOfConnection));
}

/** Makes sure that nothing living is at `path`. */
async function makeRoom(path: string): Promise<void> {
  if (Buffer.byteLength(path) > longestSocketPath) {
    throw new KilnError(
      "socket.tooLong",
      `socket path ${path} has more than ${longestSocketPath} bytes`,
      { path },
    );
  }
  if (!existsSync(dirname(path))) {
    throw new KilnError("socket.listen", `cannot listen at ${path}: its directory does not exist`, {
      path,
    });
  }
  switch (await probeSocket(path)) {
    case "answers":
      throw new KilnError("socket.inUse", `another daemon listens at ${path}`, {
        path,
        hint: "stop it first, or give another --store-socket",
      });
    case "denied":
      throw new KilnError("socket.denied", `no permission to look at ${path}`, { path });
    case "noSocket":
      throw new KilnError("socket.taken", `${path} exists and is no socket`, { path });
    case "refused":
    case "absent":
      break;
  }
}

async function bind(server: NetServer, place: SocketPlace): Promise<Stats> {
  const { path, mode = 0o660, group } = place;
  // Short, so that it fits wherever the real name fits (but for a name of one or two characters).
  const temporary = join(dirname(path), `.${basename(path).slice(0, 2)}${process.pid % 10000}`);
  if (Buffer.byteLength(temporary) > longestSocketPath) {
    throw new KilnError("socket.tooLong", `socket path ${path} is too long`, { path });
  }
  try {
    unlinkSync(temporary);
  } catch {
    // It is never there, unless a process of this number died in the middle.
  }
  const before = isMainThread ? process.umask(0o777) : 0;
  let ready;
  try {
    ready = listening(server, { path: temporary }); // binds before it returns
  } finally {
    if (isMainThread) process.umask(before);
  }
  try {
    await ready;
    if (group !== undefined) chownSync(temporary, -1, group);
    chmodSync(temporary, mode);
    const made = lstatSync(temporary);
    renameSync(temporary, path);
    return made;
  } catch (error) {
    server.close();
    throw listenError(error, path);
  }
}

async function listening(
  server: NetServer,
  where: { readonly path: string } | { readonly fd: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once("error", reject);
  server.listen({ ...where, backlog: 4096 }, () => resolve(undefined));
  await promise;
  server.off("error", reject);
}

function listenError(error: unknown, path: string): KilnError {
  const words: Readonly<Record<string, string>> = {
    EACCES: "permission denied",
    EPERM: "not permitted",
    EROFS: "the file system is read-only",
    ENOSPC: "the disk is full",
  };
  const code = codeOf(error);
  const why = code === undefined ? undefined : words[code];
  const message = error instanceof Error ? error.message : String(error);
  return new KilnError("socket.listen", `cannot listen at ${path}: ${why ?? message}`, {
    kind: "internal",
    path,
    cause: error,
    ...(code === "ENOSPC" ? { hint: spaceHint } : {}),
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
