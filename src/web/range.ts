/** Ranges of bytes in requests, by RFC 9110. */

export type RangeAnswer =
  /** Bytes `start` to before `end`. */
  | { readonly type: "part"; readonly start: number; readonly end: number }
  | { readonly type: "whole" }
  | { readonly type: "refused"; readonly status: 400 | 416 | 422; readonly message: string };

/** What a `Range` header asks for of `size` bytes. While those grow, nothing can be counted from their end. */
export function answerRange(
  header: string | undefined,
  size: number,
  { isGrowing = false }: { readonly isGrowing?: boolean } = {},
): RangeAnswer {
  if (header === undefined) return { type: "whole" };
  const match = /^bytes=([\d\s,-]+)$/.exec(header.trim());
  const ranges = (match?.[1] ?? "").split(",").map((text) => text.trim());
  const [range = ""] = ranges;
  const parts = ranges.map((text) => /^(\d{0,15})-(\d{0,15})$/.exec(text));
  if (parts.some((part) => part === null || part[0] === "-"))
    return refused(400, "invalid range: wanted bytes=FIRST-LAST");
  if (ranges.length > 1) return refused(422, "several ranges at once are not supported");
  const [first = "", last = ""] = range.split("-");
  if (first === "") return suffix(Number(last), size, isGrowing);
  const start = Number(first);
  if (last !== "" && Number(last) < start) return refused(400, "invalid range: it ends early");
  if (start === 0 && last === "") return { type: "whole" };
  if (start >= size) return refused(416, `there are ${size} bytes`);
  return { type: "part", start, end: last === "" ? size : Math.min(Number(last) + 1, size) };
}

/** The last bytes. */
function suffix(length: number, size: number, isGrowing: boolean): RangeAnswer {
  if (isGrowing) return refused(416, "the end is not known yet");
  if (length === 0 || size === 0) return refused(416, `there are ${size} bytes`);
  return { type: "part", start: Math.max(0, size - length), end: size };
}

function refused(status: 400 | 416 | 422, message: string): RangeAnswer {
  return { type: "refused", status, message };
}
