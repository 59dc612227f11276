import type { Buffer } from "node:buffer";

/**
 * How the parts of a Mach-O file are looked at while it streams by: a scan is a generator that asks for the next bytes and is
 * resumed when exactly these have gone by.
 *
 * Meanwhile the stream is hashed as it is. From {@link ImageHost.fork} on a second hash, of the image with its UUID and signature
 * zeroed, runs beside it, so that nothing has to be kept until it is known which one counts.
 */
export interface ByteRequest {
  readonly length: number;
  /**
   * `take`: give these bytes to the scan. `pass`: let them go by. `blank`: let them go by, the fork gets zeros instead. `hold`: give
   * them to the scan, the fork gets nothing (the scan feeds it).
   */
  readonly mode: "take" | "pass" | "blank" | "hold";
}

/** Gets a buffer with the bytes asked for (an empty one unless they were to be given). */
export type Scan<T> = Generator<ByteRequest, T, Buffer>;

/** A scan's view of what it is part of. Positions are offsets in the NAR. */
export interface ImageHost {
  /** Whether the digest occurs at `position` or after it, as far as the stream has come. */
  occursSince(position: number): boolean;
  /** Begins the second hash, a copy of the first one, unless it runs already. */
  fork(): void;
  /** Bytes for the second hash. */
  feedFork(bytes: Buffer): void;
  /** Forgets the second hash. */
  dropFork(): void;
  /** From now on the second hash is the only one. */
  adoptFork(): void;
}

/** Where a scan is, and how far it may go. */
export class Cursor {
  position: number;
  readonly end: number;

  constructor(position: number, end: number) {
    this.position = position;
    this.end = end;
  }

  has(length: number): boolean {
    return this.position + length <= this.end;
  }

  *take(length: number, mode: "take" | "hold" = "take"): Scan<Buffer> {
    const bytes = yield { length, mode };
    this.position += length;
    return bytes;
  }

  *pass(length: number, mode: "pass" | "blank" = "pass"): Scan<void> {
    if (length > 0) yield { length, mode };
    this.position += length;
  }
}
