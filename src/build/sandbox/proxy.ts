/**
 * An HTTP proxy for builders: HTTP requests, and tunnels (CONNECT) for everything else.
 *
 * Names are resolved here, and what they resolve to is what is connected to. This machine itself is out of reach: a builder must
 * get at no service that trusts whoever is local.
 */
import { lookup } from "node:dns";
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import { BlockList, connect, isIP, type LookupFunction, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import { type Target, type Upstream, upstreamFor } from "./upstream.ts";

export interface Policy {
  /** Whether builders may connect to this address; default: any that is not this machine's. */
  readonly allows?: (address: string, port: number) => boolean;
  /** Told each host a builder wants to reach. */
  readonly onHost?: (host: string, port: number) => void;
  /** `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are read from here; default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** How long connecting may take, in milliseconds. */
const connectTimeout = 30_000;

/** Headers that are about the connection to the proxy and not for the server. */
const ownHeaders = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export class Proxy implements AsyncDisposable {
  readonly #policy: Policy;
  readonly #server: Server;
  readonly #open = new Set<Duplex>();

  constructor(policy: Policy = {}) {
    this.#policy = policy;
    this.#server = createServer((incoming, answer) => this.#forward(incoming, answer));
    this.#server.on("connect", (incoming, client, head) => this.#tunnel(incoming, client, head));
    this.#server.on("clientError", (_, socket) => socket.destroy());
  }

  /** Serves a connection. */
  accept(socket: Socket): void {
    this.#server.emit("connection", this.#track(socket));
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#open) stream.destroy();
    return Promise.resolve();
  }

  #forward(incoming: IncomingMessage, answer: ServerResponse): void {
    const url = URL.parse(incoming.url ?? "");
    if (url?.protocol !== "http:") {
      refuse(answer, 400, "this is a proxy: it wants http://… or CONNECT");
      return;
    }
    const way = this.#wayTo({ host: url.hostname, port: Number(url.port || 80) }, "HTTP");
    if (way === undefined) {
      refuse(answer, 403, `${url.hostname} is not to be reached from a build`);
      return;
    }
    const outgoing = request({
      ...way,
      ...(incoming.method !== undefined && { method: incoming.method }),
      path: way.isProxy ? url.href : url.pathname + url.search,
      headers: { ...forwarded(incoming.headers), ...way.headers },
      setHost: false,
      agent: false,
      timeout: connectTimeout,
    });
    outgoing.on("socket", (socket) => this.#track(socket));
    outgoing.on("response", (response) => {
      answer.writeHead(response.statusCode ?? 502, forwarded(response.headers));
      response.on("error", () => answer.destroy());
      response.pipe(answer);
    });
    outgoing.on("error", (error) => refuse(answer, 502, error.message));
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #tunnel(incoming: IncomingMessage, client: Duplex, head: Buffer): void {
    const url = URL.parse(`connect://${incoming.url ?? ""}`);
    const target = { host: url?.hostname ?? "", port: Number(url?.port) };
    const way = target.port > 0 ? this.#wayTo(target, "HTTPS") : undefined;
    if (way === undefined) {
      answerTunnel(client, "403 Forbidden", `${target.host} is not to be reached from a build`);
      return;
    }
    const fail = (reason: string): void => answerTunnel(client, "502 Bad Gateway", reason);
    const join = (server: Duplex, rest?: Buffer): void => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      if (rest !== undefined) client.write(rest);
      server.write(head);
      server.pipe(client).pipe(server);
    };
    client.on("error", () => client.destroy());
    if (way.isProxy) {
      const path = `${target.host}:${target.port}`;
      const headers = { host: path, ...way.headers };
      const outgoing = request({ ...way, method: "CONNECT", path, headers, agent: false });
      outgoing.on("socket", (socket) => this.#track(socket));
      outgoing.on("connect", (response, server, rest) => {
        if (response.statusCode === 200) join(couple(server, client), rest);
        else fail(`the next proxy says ${response.statusCode}`);
      });
      outgoing.on("response", (response) => fail(`the next proxy says ${response.statusCode}`));
      outgoing.on("error", (error) => fail(error.message));
      outgoing.end();
      return;
    }
    const server = this.#track(connect({ ...way, timeout: connectTimeout }));
    const give = (error: Error): void => fail(error.message);
    server.once("timeout", () => server.destroy(new Error("it took too long to connect")));
    server.once("error", give);
    server.once("connect", () => {
      server.removeListener("error", give).setTimeout(0);
      join(couple(server, client));
    });
  }

  /** How to reach `target`; undefined when it must not be reached. */
  #wayTo({ host: name, port }: Target, kind: "HTTP" | "HTTPS"): Way | undefined {
    const host = name.replaceAll(/^\[|\]$/g, "");
    this.#policy.onHost?.(host, port);
    const upstream = upstreamFor(this.#policy.environment ?? {}, kind, { host, port });
    const allows = (address: string): boolean =>
      (this.#policy.allows ?? isElsewhere)(address, port);
    if (isIP(host) !== 0 && !allows(host)) return undefined;
    if (upstream !== undefined) return { ...upstream, isProxy: true };
    return { host, port, headers: {}, isProxy: false, lookup: lookupAmong(allows) };
  }

  #track<T extends Duplex>(stream: T): T {
    this.#open.add(stream);
    stream.once("close", () => this.#open.delete(stream));
    stream.on("error", () => {}); // whoever reads from it or writes to it learns of it
    return stream;
  }
}

interface Way extends Upstream {
  /** Whether it leads to another proxy, which resolves names itself. */
  readonly isProxy: boolean;
  readonly lookup?: LookupFunction;
}

/** Whether an address belongs to another machine: not to this one, and not to a link of it (as cloud metadata services do). */
export function isElsewhere(address: string): boolean {
  const own = new BlockList();
  for (const [network, bits] of [
    ["0.0.0.0", 8],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["224.0.0.0", 3],
  ] as const) {
    own.addSubnet(network, bits, "ipv4");
  }
  for (const [network, bits] of [
    ["::", 127],
    ["fe80::", 10],
    ["ff00::", 8],
  ] as const) {
    own.addSubnet(network, bits, "ipv6");
  }
  for (const { address: mine, family } of Object.values(networkInterfaces()).flatMap(
    (all) => all ?? [],
  )) {
    own.addAddress(mine, family === "IPv4" ? "ipv4" : "ipv6");
  }
  return !own.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}

/** Resolves names to the addresses that may be connected to. */
function lookupAmong(allows: (address: string) => boolean): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        done(error, []);
        return;
      }
      const addresses = found.filter(({ address }) => allows(address));
      const [first] = addresses;
      if (first === undefined) done(new Error(`${hostname} is not to be reached from a build`), []);
      else if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}

/** When one ends, so does the other. */
function couple(server: Duplex, client: Duplex): Duplex {
  server.once("close", () => client.destroy());
  client.once("close", () => server.destroy());
  return server;
}

function forwarded(headers: IncomingMessage["headers"]): IncomingMessage["headers"] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ownHeaders.has(name)));
}

function refuse(answer: ServerResponse, status: number, reason: string): void {
  if (answer.headersSent) answer.destroy();
  else answer.writeHead(status, { "content-type": "text/plain" }).end(`${reason}\n`);
}

function answerTunnel(client: Duplex, status: string, reason: string): void {
  client.end(`HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\n\r\n${reason}\n`);
}
