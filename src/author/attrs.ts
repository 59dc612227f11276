/** Structured values for a builder, in environment variables. */
import { Fault, show } from "./fault.ts";
import { placeholderPattern } from "./placeholders.ts";
import { resolved, wrong, type Subject } from "./strings.ts";

/**
 * Longest piece, in characters. zb reads no string of a derivation beyond 4,096 bytes, and escapes do not count there; a few are
 * left so that nobody has to count exactly.
 */
const pieceLength = 4000;

/**
 * `attrs` as JSON in entries `attrs`, `attrs1`, … to be joined. Non-ASCII characters are written `\uXXXX`, so that a piece has as
 * many bytes as characters; no piece ends inside a placeholder, which would not be replaced then.
 */
export function attrsEntries(subject: Subject, attrs: unknown): [string, string][] {
  const json = resolved(subject, stringify(subject, attrs), "attrs").replaceAll(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return pieces(json).map((piece, i) => [i === 0 ? "attrs" : `attrs${i}`, piece]);
}

function stringify(subject: Subject, attrs: unknown): string {
  try {
    const json = JSON.stringify(attrs, (key, value: unknown) => {
      const isNumber = typeof value === "number" && Number.isFinite(value);
      if (isNumber || !["number", "bigint", "function", "symbol"].includes(typeof value))
        return value;
      const where = key === "" ? "attrs" : `attrs: ${show(key)}`;
      throw wrong(subject, `${where} is ${show(value)}, which is no JSON`);
    });
    return json;
  } catch (error) {
    if (error instanceof Fault) throw error;
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw wrong(subject, `attrs cannot be written as JSON: ${reason}`);
  }
}

function pieces(text: string): string[] {
  const found: string[] = [];
  const placeholders = text.matchAll(placeholderPattern);
  let next = placeholders.next();
  let start = 0;
  while (text.length - start > pieceLength) {
    let end = start + pieceLength;
    while (!next.done && next.value.index + next.value[0].length <= end) next = placeholders.next();
    if (!next.done && next.value.index < end) end = next.value.index;
    found.push(text.slice(start, end));
    start = end;
  }
  found.push(text.slice(start));
  return found;
}
