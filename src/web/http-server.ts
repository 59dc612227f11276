/** The HTTP server of the page, its API and the metrics. It reads what the store server offers to everybody. */
import {
  createServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from "node:http";
import { existsSync } from "node:fs";
import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Log } from "../server/options.ts";
import type { Server } from "../server/server.ts";
import { descriptorLimit } from "../util/descriptor-limit.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Activity } from "./activity.ts";
import type { Address } from "./address.ts";
import { requireAdministrator } from "./administrator.ts";
import { openApiDocument } from "./api/openapi.ts";
import type { EventSource, RequestInfo, Route } from "./api/route.ts";
import { routes } from "./api/routes.ts";
import type { WebContext } from "./context.ts";
import { Doctor } from "./doctor.ts";
import { eventStream } from "./event-stream.ts";
import { faultAnswer } from "./faults.ts";
import { HoldingsReader } from "./holdings.ts";
import { type HostRules, refusal } from "./host-check.ts";
import { Metrics } from "./metrics.ts";
import { pageFolder, securityHeaders } from "./page.ts";
import { gone, recordOf, sendBytes } from "./reply.ts";
import { addPageRoutes, searchForm, sendShell } from "./zb-routes.ts";

export interface WebOptions {
  readonly address: Address;
  /** Names under which others know this server, beside localhost; default none. */
  readonly hostNames?: readonly string[] | undefined;
  /** Whether other machines may ask; default false. */
  readonly allowRemote?: boolean | undefined;
  /** What an administrator has to say; default: nothing can be changed. */
  readonly token?: string | undefined;
  /** How long builds are kept, in milliseconds; default: for ever. */
  readonly retention?: number | undefined;
  readonly mode: "daemon" | "embedded";
  readonly log?: Log | undefined;
}

/** Connections at the same time, unless the process may have few descriptors: the rest of those is for clients and builds. */
const mostConnections = 500;

/** A connection of so many descriptors: it has some while it reads an object. */
const descriptorShare = 32;

/** Bytes of a request's body, at most. */
const bodyLimit = 1024 * 1024;

export class WebServer implements AsyncDisposable {
  /** Where the page is: `http://localhost:7420/`. */
  readonly url: string;
  readonly #app: FastifyInstance;
  readonly #context: WebContext;

  private constructor(app: FastifyInstance, context: WebContext, url: string) {
    this.#app = app;
    this.#context = context;
    this.url = url;
  }

  /**
   * Serves the page of a store server until it is closed, which has to come before the store server's end.
   *
   * @throws KilnError `ui.address` when it cannot listen there
   */
  static async open(server: Server, options: WebOptions): Promise<WebServer> {
    const { address, hostNames = [], allowRemote = false } = options;
    const rules = {
      names: new Set(hostNames.map((name) => name.toLowerCase())),
      remote: allowRemote,
    };
    const context: WebContext = {
      server,
      activity: new Activity(server.builds),
      metrics: new Metrics(server),
      doctor: new Doctor(server),
      holdings: new HoldingsReader(server.store),
      mode: options.mode,
      retention: options.retention,
      startedAt: Math.round(performance.timeOrigin),
      token: options.token,
    };
    const app = makeApp(context, rules, options.log ?? (() => undefined));
    try {
      await app.listen({ host: address.host === "" ? "::" : address.host, port: address.port });
    } catch (error) {
      await app.close();
      dispose(context);
      const why = error instanceof Error ? error.message : String(error);
      throw new KilnError("ui.address", `cannot serve the page at ${nameOf(address)}: ${why}`, {
        hint: commandFor(options.mode, { ...address, port: (address.port + 1) % 65_536 }),
        cause: error,
      });
    }
    const bound = app.server.address();
    const port = typeof bound === "object" ? (bound?.port ?? address.port) : address.port;
    return new WebServer(app, context, `http://${nameOf({ host: address.host, port })}/`);
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.#app.server.closeAllConnections();
    await this.#app.close();
    dispose(this.#context);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function dispose({ activity, metrics }: WebContext): void {
  activity[Symbol.dispose]();
  metrics[Symbol.dispose]();
}

/** How the same command is told to take another address. */
function commandFor(mode: "daemon" | "embedded", address: Address): string {
  return `${mode === "embedded" ? "kiln ui " : "kiln serve --ui="}${nameOf(address)}`;
}

function nameOf({ host, port }: Address): string {
  const name = host === "" || host === "::" || host === "0.0.0.0" ? "localhost" : host;
  return `${name.includes(":") ? `[${name}]` : name}:${port}`;
}

function makeApp(context: WebContext, rules: HostRules, log: Log): FastifyInstance {
  const app = fastify({
    bodyLimit,
    exposeHeadRoutes: true,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 500 },
    serverFactory: (handler) => makeServer(handler, rules),
  });
  app.addHook("onRequest", checkMethod);
  app.addHook("onResponse", async (_request, reply) => {
    context.metrics.answered(reply.statusCode);
  });
  app.setErrorHandler(async (error, request, reply) => {
    const { status, message } = faultAnswer(error);
    if (status >= 500) {
      log("error", `page: ${request.method} ${pathOf(request)}: ${KilnError.from(error).message}`);
    }
    if (isApi(request)) return await reply.code(status).send(message);
    return await reply.code(status).type("text/plain; charset=utf-8").send(`${message.message}\n`);
  });
  app.setNotFoundHandler(async (request, reply) => {
    if (!isApi(request) && (request.headers.accept ?? "").includes("text/html")) {
      return sendShell(reply, 404, searchForm("There is no such page."));
    }
    throw new KilnError("http.notFound", `there is no ${pathOf(request)}`);
  });
  for (const route of routes) addRoute(app, route, { ...context, log });
  const document = JSON.stringify(openApiDocument(routes));
  app.get("/api/v1/openapi.json", async (_request, reply) =>
    reply.type("application/json").send(document),
  );
  app.get("/metrics", async (_request, reply) => {
    const text = await context.metrics.text();
    return reply.header("content-type", context.metrics.contentType).send(text);
  });
  addPageRoutes(app, context);
  addStaticFiles(app);
  return app;
}

/** Before anything else is done with a request, it is seen whether it may be one at all. */
function makeServer(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  rules: HostRules,
): HttpServer {
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    // Who names two hosts means to be taken for one by us and for another by somebody else.
    const [host, ...others] = request.headersDistinct["host"] ?? [];
    const named = others.length === 0 ? host : undefined;
    const why = refusal(named, request.socket.remoteAddress, rules);
    if (why === undefined) return handler(request, response);
    response.writeHead(403, { "content-type": "text/plain; charset=utf-8" });
    response.end(`${why}\n`);
  });
  server.headersTimeout = 30_000;
  server.requestTimeout = 60_000;
  server.keepAliveTimeout = 10_000;
  server.maxConnections = Math.min(
    mostConnections,
    Math.floor((descriptorLimit() ?? Infinity) / descriptorShare),
  );
  return server;
}

/** Everything is read with GET or HEAD; only the API has something to POST to. */
async function checkMethod(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { method } = request;
  if (method === "GET" || method === "HEAD") return;
  const posted = routes.some(
    (route) => route.method === "POST" && request.routeOptions.url === fastifyPath(route),
  );
  const allowed = posted ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
  if (method === "POST" && posted) return;
  reply.header("allow", allowed);
  if (method === "OPTIONS") {
    await reply.code(200).send();
    return;
  }
  await reply.code(405).type("text/plain; charset=utf-8").send("Method Not Allowed\n");
}

/** What routes need, and who is told of what goes wrong while an answer is under way. */
type RouteContext = WebContext & { readonly log: Log };

function addRoute(app: FastifyInstance, route: Route, context: RouteContext): void {
  app.route({
    method: route.method,
    url: fastifyPath(route),
    handler: async (request, reply) => {
      if (route.method === "POST") requireAdministrator(request.headers, context.token);
      const given = {
        ...recordOf(route.method === "POST" ? request.body : request.query),
        ...recordOf(request.params),
      };
      // A reader that has to begin anew says it in the address.
      const { lastEventId } = recordOf(request.query);
      const last = request.headers["last-event-id"] ?? lastEventId;
      const info: RequestInfo = {
        signal: gone(reply),
        lastEventID: typeof last === "string" ? last : undefined,
        range: request.headers.range,
      };
      reply.header("cache-control", "no-store");
      if (route.type === "events")
        return sendEvents(reply, route.handle(given, context, info), context);
      if (route.type === "bytes") return sendBytes(reply, await route.handle(given, context, info));
      return await reply.send(await route.handle(given, context, info));
    },
  });
}

function sendEvents(
  reply: FastifyReply,
  source: EventSource,
  { metrics, log }: RouteContext,
): FastifyReply {
  const stream = eventStream(source);
  stream.once("error", (error) => {
    log("error", `page: ${pathOf(reply.request)}: ${KilnError.from(error).message}`);
  });
  stream.once("close", metrics.streaming());
  // Buffers on the way would keep the news back.
  reply.header("x-accel-buffering", "no");
  return reply.header("content-type", "text/event-stream; charset=utf-8").send(stream);
}

function addStaticFiles(app: FastifyInstance): void {
  const folder = join(pageFolder, "static");
  if (!existsSync(folder)) return;
  app.register(fastifyStatic, {
    root: folder,
    prefix: "/static/",
    index: false,
    cacheControl: false,
    preCompressed: true,
    setHeaders: (response, path) => {
      // Most names tell what is in the file.
      const isForGood = /-[\w-]{8}\.\w+(?:\.gz)?$/.test(path);
      const howLong = isForGood ? "max-age=31536000, immutable" : "max-age=3600";
      response.header("cache-control", `public, ${howLong}`);
    },
  });
}

function fastifyPath(route: Route): string {
  return `/api/v1${route.path.replaceAll(/\{(\w+)\}/g, ":$1")}`;
}

function pathOf(request: FastifyRequest): string {
  return request.url.split("?")[0] ?? "";
}

function isApi(request: FastifyRequest): boolean {
  return request.url.startsWith("/api/");
}
