/**
 * The one error type that crosses module borders.
 *
 * `kind` says whose fault it is: `input` (a bad request, file, stream or argument), `builder` (a builder failed, or its output
 * was refused) or `internal` (Kiln or the machine could not). `code` is stable, dotted and lower-case (`drv.syntax`,
 * `nar.padding`); people look it up in the documentation, programs compare it.
 */
export type ErrorKind = "input" | "builder" | "internal";

/** What an error says beside its code and message. */
export interface KilnErrorOptions {
  /** Whose fault it is; default `input`. */
  readonly kind?: ErrorKind;
  /** The store path, file or socket the error is about. */
  readonly path?: string;
  /** Where it happened, for a person: `file:line:column`. */
  readonly at?: string;
  /** What to do about it, for a person. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Any fault that Kiln knows; see {@link ErrorKind} for its members. */
export class KilnError extends Error {
  override readonly name = "KilnError";
  readonly code: string;
  readonly kind: ErrorKind;
  readonly path: string | undefined;
  readonly at: string | undefined;
  readonly hint: string | undefined;

  /** `message` is lower case, without a full stop, and names the thing and the reason. */
  constructor(code: string, message: string, options: KilnErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.kind = options.kind ?? "input";
    this.path = options.path;
    this.at = options.at;
    this.hint = options.hint;
  }

  /** Anything that was thrown, as a KilnError: unknown errors become `internal` with the original as their cause. */
  static from(thrown: unknown, code = "internal"): KilnError {
    if (thrown instanceof KilnError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new KilnError(code, message, { kind: "internal", cause: thrown });
  }
}

/** What a fault says in one line, where there is no place for its hint beside it. */
export function inOneLine(thrown: unknown): string {
  const { message, hint } = KilnError.from(thrown);
  return hint === undefined ? message : `${message}: ${hint}`;
}

/** Whether `thrown` is a KilnError with this code. */
export function hasCode(thrown: unknown, code: string): thrown is KilnError {
  return thrown instanceof KilnError && thrown.code === code;
}
