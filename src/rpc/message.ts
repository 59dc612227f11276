/**
 * JSON-RPC 2.0 messages: from the bytes of a body to a request or a reply, and back.
 *
 * What counts of an id is its text: integers have 64 bits, `1.0` is no integer, and `1` is another id than `"1"`. So ids are kept
 * as JSON text (`idText`), which is also what is written back.
 */
import { ErrorCode, type WireError, type WireErrorData } from "./errors.ts";
import { isDeeperThan, memberText } from "./json-scan.ts";

declare global {
  interface JSON {
    /** Not in the compiler's library yet: a value that is written as `text`. */
    rawJSON(text: string): object;
  }
}

/** An id as a value: a bigint when a number cannot hold it. */
export type RequestID = string | number | bigint | null;

/** A request, or a notification when it has no id. */
export interface RequestMessage {
  readonly type: "request";
  readonly method: string;
  /** As sent; undefined when missing. */
  readonly params: unknown;
  /** Undefined for a notification. */
  readonly id: RequestID | undefined;
  /** The id as JSON text; undefined for a notification. */
  readonly idText: string | undefined;
  /** Members of the message that JSON-RPC does not know. Has no prototype. */
  readonly extra: Readonly<Record<string, unknown>>;
  /** Of `$/cancelRequest`: the id to cancel, as JSON text. Undefined when the parameters name none. */
  readonly cancels: string | undefined;
  /** Bytes of the message. */
  readonly size: number;
}

export interface ReplyMessage {
  readonly type: "reply";
  /** Undefined when it was not an id. */
  readonly idText: string | undefined;
  readonly result: unknown;
  readonly error: WireError | undefined;
}

/** A message that is neither; it is answered with this error and the id null. */
export interface InvalidMessage extends WireError {
  readonly type: "invalid";
}

export type Message = RequestMessage | ReplyMessage | InvalidMessage;

export const cancelMethod = "$/cancelRequest";

/** How deep a message may be nested: as in zb, whose own messages are 6 deep at most. Nothing here walks them recursively. */
export const maxDepth = 10_000;

/** Reads a body. Never throws. Bytes that are not UTF-8 become U+FFFD, and of two members with one name the last counts, as in zb. */
export function parseMessage(body: Buffer): Message {
  if (isDeeperThan(body, maxDepth)) {
    return invalid(ErrorCode.parse, `JSON nested deeper than ${maxDepth}`);
  }
  const text = body.toString("utf8");
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    return invalid(ErrorCode.parse, error instanceof Error ? error.message : "not JSON");
  }
  if (root === null) return invalid(ErrorCode.invalidRequest, "the message is null");
  if (typeof root !== "object" || Array.isArray(root)) {
    return invalid(ErrorCode.parse, "the message is not an object");
  }
  const message = root as Members;
  const isReply = !Object.hasOwn(message, "method") && hasOutcome(message);
  return isReply ? readReply(message) : readRequest(message, body);
}

/** Results that will be sent more than once, with their texts once they are known. */
const lasting = new WeakMap<object, string>();

/** Has the text of a result kept for as long as the result is: it never changes, and will be sent again. */
export function keepText<T extends object>(result: T): T {
  lasting.set(result, "");
  return result;
}

/** The text of a reply. @throws TypeError or RangeError when `result` is no JSON: it has a cycle, or is too deep. */
export function resultText(idText: string, result: unknown): string {
  return `{"jsonrpc":"2.0","id":${idText},"result":${textOf(result) ?? "null"}}`;
}

function textOf(result: unknown): string | undefined {
  if (typeof result !== "object" || result === null) return toJson(result);
  const known = lasting.get(result);
  if (known !== undefined && known !== "") return known;
  const text = toJson(result);
  if (known !== undefined && text !== undefined) lasting.set(result, text);
  return text;
}

export function errorText(idText: string, error: WireError): string {
  const { code, message, data } = error;
  return `{"jsonrpc":"2.0","id":${idText},"error":${toJson({ code, message, data }) ?? ""}}`;
}

/** The text of a request, or of a notification when `id` is undefined. */
export function requestText(
  method: string,
  params: unknown,
  id?: string,
  extra?: Readonly<Record<string, unknown>>,
): string {
  return toJson({ jsonrpc: "2.0", method, id, params, ...extra }) ?? "";
}

interface Members {
  readonly jsonrpc?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

function readRequest(message: Members, body: Buffer): Message {
  const { jsonrpc, method } = message;
  if (jsonrpc === undefined) return invalid(ErrorCode.invalidRequest, "jsonrpc version is missing");
  if (jsonrpc !== "2.0") {
    return invalid(ErrorCode.invalidRequest, 'jsonrpc version is not "2.0"');
  }
  if (method === undefined) return invalid(ErrorCode.invalidRequest, "method is missing");
  if (typeof method !== "string" && method !== null) {
    return invalid(ErrorCode.invalidRequest, "method is not a string");
  }
  const idText = idTextOf(message.id, () => memberText(body, "id"));
  if (message.id !== undefined && idText === undefined) {
    return invalid(ErrorCode.invalidRequest, "id is not a string, a 64-bit integer or null");
  }
  return {
    type: "request",
    method: method ?? "",
    params: message.params,
    id: idText === undefined ? undefined : idValue(idText),
    idText,
    extra: extraMembers(message),
    cancels: method === cancelMethod ? cancelledID(message.params, body) : undefined,
    size: body.length,
  };
}

/** What Kiln says of its errors; nothing when it is something else. */
function readErrorData(data: unknown): { readonly data?: WireErrorData } {
  if (typeof data !== "object" || data === null) return {};
  const { code, kind, hint } = data as {
    code?: unknown;
    kind?: unknown;
    hint?: unknown;
  };
  if (typeof code !== "string" || !/^[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)*$/.test(code)) return {};
  return {
    data: {
      code,
      kind: kind === "builder" || kind === "internal" ? kind : "input",
      ...(typeof hint === "string" ? { hint } : {}),
    },
  };
}

function readReply(message: Members): ReplyMessage {
  const { id, result, error } = message;
  // Replies are to our own requests, whose ids are strings, or to what the other side could not read.
  const idText = typeof id === "string" || id === null ? JSON.stringify(id) : undefined;
  if (error === undefined || error === null)
    return { type: "reply", idText, result, error: undefined };
  const {
    code,
    message: text,
    data,
  } = error as {
    code?: unknown;
    message?: unknown;
    data?: unknown;
  };
  return {
    type: "reply",
    idText,
    result: undefined,
    error: {
      code: typeof code === "number" ? code : ErrorCode.failed,
      message: typeof text === "string" ? text : "",
      ...readErrorData(data),
    },
  };
}

function hasOutcome(message: Members): boolean {
  return Object.hasOwn(message, "result") || Object.hasOwn(message, "error");
}

const known = new Set(["jsonrpc", "method", "params", "id"]);
const noExtra: Readonly<Record<string, unknown>> = Object.freeze(bareObject());

function extraMembers(message: Members): Readonly<Record<string, unknown>> {
  let extra: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(message)) {
    if (known.has(name)) continue;
    // Without a prototype, `__proto__` is a name like any other.
    extra ??= bareObject();
    extra[name] = value;
  }
  return extra ?? noExtra;
}

function bareObject(): Record<string, unknown> {
  const bare: Record<string, unknown> = Object.create(null);
  return bare;
}

/** The id to cancel. An absent id is `null`, which is nobody's. */
function cancelledID(params: unknown, body: Buffer): string | undefined {
  if (params === null) return "null";
  if (typeof params !== "object" || Array.isArray(params)) return undefined;
  const { id = null } = params as Members;
  return idTextOf(id, () => memberText(body, "params", "id"));
}

/** The id as canonical JSON text, or undefined when it is none. `source` says how a number was written. */
function idTextOf(id: unknown, source: () => string | undefined): string | undefined {
  if (id === null) return "null";
  if (typeof id === "string") return JSON.stringify(id.toWellFormed());
  if (typeof id !== "number") return undefined;
  const digits = source();
  if (digits === undefined || !/^-?[0-9]{1,19}$/.test(digits)) return undefined;
  const value = BigInt(digits);
  return value === BigInt.asIntN(64, value) ? value.toString() : undefined;
}

function idValue(idText: string): RequestID {
  if (idText === "null") return null;
  if (idText.startsWith('"')) {
    const id: string = JSON.parse(idText);
    return id;
  }
  const number = Number(idText);
  return Number.isSafeInteger(number) ? number : BigInt(idText);
}

/**
 * As JSON.stringify, but a lone surrogate (half of a byte string that is not UTF-8) becomes U+FFFD: strict readers, zb v0.2's among
 * them, refuse the whole message for one.
 */
function toJson(value: unknown): string | undefined {
  const text = stringify(value);
  if (text?.includes("\\ud") !== true) return text;
  // The first alternative steps over escaped backslashes, so that the second meets escapes only.
  return text.replaceAll(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, (match) =>
    match === "\\\\" ? match : "\ufffd",
  );
}

/** Integers beyond 2^53 are written as they are; nearly nothing has one, so that is looked at second. */
function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, (_, member: unknown) =>
      typeof member === "bigint" ? JSON.rawJSON(member.toString()) : member,
    );
  }
}

function invalid(code: number, message: string): InvalidMessage {
  return { type: "invalid", code, message };
}
