/** The errors of the NAR reader: what was wrong, and at which byte. */
import type { Buffer } from "node:buffer";
import { KilnError } from "../../util/kiln-error.ts";
import { paddingAfter, wordSize } from "./tokens.ts";

/** The frame in `bytes` at `at`, which is byte `offset` of the NAR, is none of the expected ones. */
export function unexpectedToken(
  bytes: Buffer,
  at: number,
  offset: number,
  expected: readonly Buffer[],
): KilnError {
  const length = bytes[at] ?? 0;
  const end = at + wordSize + length;
  for (let i = end; i < end + paddingAfter(length); i++) {
    if (bytes[i] !== 0) return badPadding(offset + i - at);
  }
  const found = JSON.stringify(bytes.toString("latin1", at + wordSize, end));
  const words = expected.map((frame) => {
    return JSON.stringify(frame.toString("latin1", wordSize, wordSize + (frame[0] ?? 0)));
  });
  return new KilnError(
    "nar.syntax",
    `found ${found} at byte ${offset} of a NAR, expected ${words.join(" or ")}`,
  );
}

export function badPadding(offset: number): KilnError {
  return new KilnError("nar.padding", `padding that is not zero at byte ${offset} of a NAR`);
}

export function badTarget(reason: string, offset: number): KilnError {
  return new KilnError("nar.target", `a symlink target at byte ${offset} of a NAR ${reason}`);
}

/** Bytes after the end of a NAR that stands alone. */
export function trailingBytes(offset: number): KilnError {
  return new KilnError(
    "nar.trailing",
    `there are bytes after the end of the NAR at byte ${offset}`,
  );
}

export function tooLong(
  what: "token" | "name" | "target",
  length: bigint,
  limit: number,
  offset: number,
): KilnError {
  const code = { token: "nar.syntax", name: "nar.name", target: "nar.target" }[what];
  return new KilnError(
    code,
    `a ${what} of ${length} bytes at byte ${offset} of a NAR, where at most ${limit} are allowed`,
  );
}

export function tooDeep(limit: number, offset: number): KilnError {
  return new KilnError(
    "nar.depth",
    `more than ${limit} nested directories at byte ${offset} of a NAR`,
  );
}

export function tooLarge(length: bigint, offset: number): KilnError {
  return new KilnError(
    "nar.size",
    `a file of ${length} bytes at byte ${offset} of a NAR is too large`,
  );
}

export function notAscending(name: string, last: string, offset: number): KilnError {
  return new KilnError(
    "nar.order",
    `entry ${JSON.stringify(name)} at byte ${offset} of a NAR must sort after ${JSON.stringify(last)}`,
  );
}
