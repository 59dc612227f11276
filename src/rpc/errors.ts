/**
 * Errors on the wire and in the program: JSON-RPC codes <-> KilnError.
 *
 * zb knows few codes. A client can tell a bad request from a refused one and from a cancelled one; all else is `failed`, with the
 * text as the only detail.
 */
import { type ErrorKind, KilnError, type KilnErrorOptions } from "../util/kiln-error.ts";

/** The codes that go over the wire. */
export const ErrorCode = {
  /** The message is not a JSON object. */
  parse: -32700,
  /** The message is not a JSON-RPC 2.0 request, or its id is in use. */
  invalidRequest: -32600,
  methodNotFound: -32601,
  /** Parameters missing, of a wrong type, or without meaning. */
  invalidParams: -32602,
  /** The result cannot be written as JSON. */
  internal: -32603,
  /** `$/cancelRequest` ended the request. */
  cancelled: -32800,
  /** Everything else: what was asked for is not there, or could not be done. */
  failed: -32001,
} as const;

/** `error` of a reply. */
export interface WireError {
  readonly code: number;
  /** Never empty. */
  readonly message: string;
  /** What Kiln says besides: which of its errors it is, and what to do about it. */
  readonly data?: WireErrorData | undefined;
}

/** Member `data` of an error: absent from zb, which ignores it. */
export interface WireErrorData {
  /** Kiln's own code, as `store.hasReferrers`. */
  readonly code: string;
  /** Whose fault it is. */
  readonly kind: ErrorKind;
  readonly hint?: string;
}

/** KilnError codes of the errors a peer answered with, or that a handler throws to answer with. */
const codeNames: ReadonlyMap<number, string> = new Map([
  [ErrorCode.parse, "rpc.parse"],
  [ErrorCode.invalidRequest, "rpc.request"],
  [ErrorCode.methodNotFound, "rpc.method"],
  [ErrorCode.invalidParams, "rpc.params"],
  [ErrorCode.internal, "rpc.internal"],
  [ErrorCode.cancelled, "rpc.cancelled"],
  [ErrorCode.failed, "rpc.failed"],
]);

/**
 * An error with a wire code: thrown by a handler to choose the code of its reply, and what a call fails with when the other side
 * answered with an error. Its `code` is `rpc.method`, `rpc.params`, `rpc.cancelled` and so on; for what failed it is the other side's own
 * (`store.missing`), or `rpc.failed` when that does not say (zb's does not).
 */
export class RpcError extends KilnError {
  readonly wireCode: number;

  constructor(
    wireCode: number,
    message: string,
    { code, ...options }: KilnErrorOptions & { readonly code?: string | undefined } = {},
  ) {
    super(code ?? codeNames.get(wireCode) ?? "rpc.error", message, options);
    this.wireCode = wireCode;
  }
}

/** The error a handler throws for parameters that have the right types and still make no sense. */
export function invalidParams(message: string, cause?: unknown): RpcError {
  return new RpcError(ErrorCode.invalidParams, message, { cause });
}

/** The error for a method that does not exist here. */
export function methodNotFound(method: string): RpcError {
  return new RpcError(ErrorCode.methodNotFound, `method ${brief(method, 200)} not found`);
}

/** What to answer when a handler threw. `signal` is the request's: an error that is its abort means "cancelled". */
export function toWireError(thrown: unknown, signal: AbortSignal): WireError {
  if (thrown instanceof RpcError) return wireError(thrown.wireCode, thrown.message);
  if (signal.aborted && isAbort(thrown, signal)) {
    return wireError(ErrorCode.cancelled, "the request was cancelled");
  }
  const error = wireError(
    ErrorCode.failed,
    thrown instanceof Error ? thrown.message : String(thrown),
  );
  if (!(thrown instanceof KilnError)) return error;
  const { code, kind, hint } = thrown;
  return { ...error, data: { code, kind, ...(hint === undefined ? {} : { hint }) } };
}

/** The error a call fails with when the answer to `method` was `error`. */
export function fromWireError(method: string, error: WireError): RpcError {
  const message = error.message === "" ? `${method} failed with code ${error.code}` : error.message;
  return new RpcError(error.code, message, error.data);
}

/** A message has an end: paths and names from elsewhere are in it, and the reply has to stay below the size limit. */
const maxMessageLength = 8192;

function wireError(code: number, message: string): WireError {
  return { code, message: brief(message, maxMessageLength) || "internal error" };
}

/** Whether `thrown` is, or was caused by, the abort of `signal`. */
function isAbort(thrown: unknown, signal: AbortSignal): boolean {
  for (let error = thrown, depth = 0; depth < 10; depth++) {
    if (error === signal.reason) return true;
    if (!(error instanceof Error)) return false;
    if (error.name === "AbortError") return true;
    error = error.cause;
  }
  return false;
}

function brief(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
