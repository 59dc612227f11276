/** How the routes of the HTTP API are written down: once, for the server, the checks and the OpenAPI document. */
import type { Readable } from "node:stream";
import type { z } from "zod";
import { KilnError } from "../../util/kiln-error.ts";
import type { ServerSentEvent } from "../event-stream.ts";
import type { WebContext } from "../context.ts";

/** What a handler knows of the request beside its input. */
export interface RequestInfo {
  /** Aborts when the one who asks is gone. */
  readonly signal: AbortSignal;
  /** What the reader of an event stream saw last; undefined for a new one. */
  readonly lastEventID: string | undefined;
  readonly range: string | undefined;
}

/** An answer that is bytes. */
export interface BytesAnswer {
  readonly status?: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Readable | Buffer | string;
}

interface Common<P extends z.ZodObject> {
  /** Below `/api/v1`, its parameters in braces. */
  readonly path: string;
  readonly summary: string;
  /** What stands in the path and, for GET, in the query, or, for POST, in the body as JSON. */
  readonly params: P;
}

type Handle<P extends z.ZodObject, T> = (
  params: z.output<P>,
  context: WebContext,
  request: RequestInfo,
) => T;

/** Makes the messages of an event stream, until the signal aborts: the reader is gone. */
export type EventSource = (signal: AbortSignal) => AsyncIterable<ServerSentEvent>;

interface CommonRoute {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly summary: string;
  readonly params: z.ZodObject;
}

type Handled<T> = (params: unknown, context: WebContext, request: RequestInfo) => T;

/**
 * A route. Its `handle` checks what it is given.
 *
 * @throws KilnError `http.request` for parameters that are wrong, and whatever the handler throws
 */
export type Route = CommonRoute &
  (
    | { readonly type: "json"; readonly schema: z.ZodType; readonly handle: Handled<unknown> }
    | {
        readonly type: "events";
        /** The messages by the name of their event; "" for those without one. */
        readonly events: Readonly<Record<string, z.ZodType>>;
        readonly handle: Handled<EventSource>;
      }
    | {
        readonly type: "bytes";
        readonly contentType: string;
        readonly handle: Handled<BytesAnswer | Promise<BytesAnswer>>;
      }
  );

/** A route that answers with JSON. Anybody may ask it. */
export function get<P extends z.ZodObject, T>(
  definition: Common<P> & {
    readonly result: z.ZodType<T>;
    readonly handle: Handle<P, T | Promise<T>>;
  },
): Route {
  const { result: schema, handle } = definition;
  return {
    ...common("GET", definition),
    type: "json",
    schema,
    handle: checked(definition, handle),
  };
}

/** A route that changes something: only an administrator may use it. */
export function post<P extends z.ZodObject, T>(
  definition: Common<P> & {
    readonly result: z.ZodType<T>;
    readonly handle: Handle<P, T | Promise<T>>;
  },
): Route {
  const { result: schema, handle } = definition;
  return {
    ...common("POST", definition),
    type: "json",
    schema,
    handle: checked(definition, handle),
  };
}

/** A route that answers with server-sent events. */
export function events<P extends z.ZodObject>(
  definition: Common<P> & {
    readonly events: Readonly<Record<string, z.ZodType>>;
    /** What it throws, before there is any event, is the answer. */
    readonly handle: Handle<P, EventSource>;
  },
): Route {
  const { events: messages, handle } = definition;
  return {
    ...common("GET", definition),
    type: "events",
    events: messages,
    handle: checked(definition, handle),
  };
}

/** A route that answers with bytes. */
export function bytes<P extends z.ZodObject>(
  definition: Common<P> & {
    readonly contentType: string;
    readonly handle: Handle<P, BytesAnswer | Promise<BytesAnswer>>;
  },
): Route {
  const { contentType, handle } = definition;
  return {
    ...common("GET", definition),
    type: "bytes",
    contentType,
    handle: checked(definition, handle),
  };
}

function common(method: "GET" | "POST", definition: Common<z.ZodObject>): CommonRoute {
  const { path, summary, params } = definition;
  return { method, path, summary, params };
}

function checked<P extends z.ZodObject, T>(
  { params }: Common<P>,
  handle: Handle<P, T>,
): Handled<T> {
  return (given, context, request) => {
    const result = params.safeParse(given);
    if (result.success) return handle(result.data, context, request);
    const [issue] = result.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw new KilnError("http.request", `${where === "" ? "" : `${where}: `}${issue?.message}`);
  };
}
