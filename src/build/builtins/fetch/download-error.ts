/** What can go wrong with a download, sorted by whether it is worth another try. */
import { KilnError } from "../../../util/kiln-error.ts";
import { codeOf } from "../../../util/code-of.ts";
import { builderFault } from "../fault.ts";

export class DownloadError extends KilnError {
  /** Whether the same may work a little later. */
  readonly transient: boolean;
  /** How long the server asks us to wait, in milliseconds. */
  readonly wait: number | undefined;

  constructor(
    code: string,
    message: string,
    options: { transient?: boolean; wait?: number | undefined; cause?: unknown } = {},
  ) {
    super(code, message, { kind: "builder", cause: options.cause });
    this.transient = options.transient ?? false;
    this.wait = options.wait;
  }
}

/** Codes of undici and of the system, and what they say about `url`. */
const reasons: ReadonlyMap<string, string> = new Map([
  ["UND_ERR_CONNECT_TIMEOUT", "no connection in time"],
  ["UND_ERR_HEADERS_TIMEOUT", "no answer in time"],
  ["UND_ERR_BODY_TIMEOUT", "the server fell silent"],
  ["UND_ERR_SOCKET", "the connection was closed"],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "the connection was closed"],
  ["UND_ERR_HEADERS_OVERFLOW", "the headers of the answer are too large"],
  ["ECONNREFUSED", "connection refused"],
  ["ECONNRESET", "the connection was closed"],
  ["ENETUNREACH", "the network cannot be reached"],
  ["EHOSTUNREACH", "the host cannot be reached"],
  ["ENOTFOUND", "there is no such host"],
  ["EAI_AGAIN", "the host's name could not be looked up"],
  ["Z_BUF_ERROR", "the gzip encoding is cut short"],
  ["Z_DATA_ERROR", "the gzip encoding is damaged"],
]);

const timeouts = /^UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT$/;
const certificates = /CERT|SELF_SIGNED|^UNABLE_TO_|^ERR_TLS|^ERR_SSL/;

/** The fault behind what a request or a body threw. `shown` is the URL as it may be logged. */
export function networkError(shown: string, thrown: unknown): KilnError {
  if (thrown instanceof KilnError) return thrown;
  // Hosts with several addresses fail with a bundle of errors.
  const bundled: unknown = thrown instanceof AggregateError ? thrown.errors[0] : undefined;
  const first = bundled ?? thrown;
  const code = codeOf(first) ?? "";
  const text = first instanceof Error ? first.message : String(first);
  if (certificates.test(code)) {
    return builderFault("fetch.certificate", `${shown}: ${text} (${code})`, thrown);
  }
  const reason = reasons.get(code) ?? (code === "" ? text : `${text} (${code})`);
  return new DownloadError(
    timeouts.test(code) ? "fetch.timeout" : "fetch.network",
    `${shown}: ${reason}`,
    { transient: code !== "ENOTFOUND" && code !== "UND_ERR_HEADERS_OVERFLOW", cause: thrown },
  );
}

/** The fault of an answer with this status. `retryAfter` is the header of that name. */
export function statusError(
  shown: string,
  status: { readonly code: number; readonly text: string; readonly retryAfter: string },
  now: number,
): DownloadError {
  const { code, text, retryAfter } = status;
  return new DownloadError("fetch.status", `${shown} returned HTTP ${code} ${text}`.trimEnd(), {
    transient: code >= 500 || code === 429 || code === 408,
    wait: waitIn(retryAfter, now),
  });
}

/** Seconds, or a date. */
function waitIn(retryAfter: string, now: number): number | undefined {
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter) * 1000;
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
