/**
 * The spellings of flag values that zb's users know from Go: booleans and durations.
 */
import type { SandboxMode } from "../server/options.ts";
import { KilnError } from "../util/kiln-error.ts";

const trueWords = new Set(["1", "t", "T", "true", "True", "TRUE"]);
const falseWords = new Set(["0", "f", "F", "false", "False", "FALSE"]);
const sandboxModes: readonly SandboxMode[] = ["true", "relaxed", "auto", "false"];

/** A boolean as Go's `strconv.ParseBool` reads it. Throws `usage.value`. */
export function parseBoolean(text: string): boolean {
  if (trueWords.has(text)) return true;
  if (falseWords.has(text)) return false;
  throw new KilnError("usage.value", `"${text}" is neither true nor false`);
}

/** Milliseconds in one unit of Go's durations, and in the longer ones that people count in. */
const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
  w: 7 * 24 * 3_600_000,
};

/**
 * A duration as Go's `time.ParseDuration` reads it (`168h`, `1h30m`, `-1.5s`, `0`), also in days and weeks (`30d`, `2w`), in
 * milliseconds. Throws `usage.value`.
 */
export function parseDuration(text: string): number {
  const fail = (why: string): KilnError =>
    new KilnError("usage.value", `"${text}" is no duration: ${why}`, {
      hint: "a number and a unit (ms s m h d w), as in 5m, 1h30m or 30d",
    });
  const sign = text.startsWith("-") ? -1 : 1;
  let rest = /^[+-]/.test(text) ? text.slice(1) : text;
  if (rest === "0") return 0;
  if (rest === "") throw fail("it is empty");
  let total = 0;
  while (rest !== "") {
    const number = /^(?:\d+\.?\d*|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) throw fail(`saw "${rest}" where a number was wanted`);
    rest = rest.slice(number.length);
    const unit = /^[^\d.]+/.exec(rest)?.[0];
    if (unit === undefined) throw fail(`${number} has no unit`);
    const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
    if (factor === undefined) throw fail(`unknown unit "${unit}"`);
    total += Number(number) * factor;
    rest = rest.slice(unit.length);
  }
  return sign * total;
}

/** A span of time at least 0, as {@link parseDuration}. Throws `usage.value`. */
export function parseAge(text: string): number {
  const age = parseDuration(text);
  if (age >= 0) return age;
  throw new KilnError("usage.value", `${text} is less than 0`);
}

/** A moment, RFC 3339 or how long it is ago ({@link parseAge}), in milliseconds since the Unix epoch. Throws `usage.value`. */
export function parseTime(text: string): number {
  const time = /^\d{4}-\d\d-\d\d/.test(text)
    ? Date.parse(text)
    : /^\d/.test(text)
      ? Date.now() - parseAge(text)
      : NaN;
  if (!Number.isNaN(time)) return Math.round(time);
  throw new KilnError("usage.value", `"${text}" is no time`, {
    hint: "as 2026-01-31T12:00:00Z, or 30d for 30 days ago",
  });
}

/** A whole number, written in digits with an optional sign. Throws `usage.value`. */
export function parseInteger(text: string): number {
  if (!/^[+-]?\d{1,15}$/.test(text)) {
    throw new KilnError("usage.value", `"${text}" is no whole number`, {
      hint: "digits alone, as in 4",
    });
  }
  return Number(text);
}

/** A whole number of at least 1. Throws `usage.value`. */
export function parseCount(text: string): number {
  const value = parseInteger(text);
  if (value < 1) throw new KilnError("usage.value", `${text} is less than 1`);
  return value;
}

/** What `--sandbox` takes: Go's words for true and false, and two of Kiln's own. Throws `usage.value`. */
export const parseSandboxMode: ((text: string) => SandboxMode) & {
  readonly words: readonly SandboxMode[];
} = Object.assign(
  (text: string): SandboxMode => {
    if (text === "relaxed" || text === "auto") return text;
    if (trueWords.has(text)) return "true";
    if (falseWords.has(text)) return "false";
    throw new KilnError("usage.value", `"${text}" is none of ${sandboxModes.join(", ")}`);
  },
  { words: sandboxModes },
);

/** A file mode in octal digits (`0660`). Throws `usage.value`. */
export function parseMode(text: string): number {
  if (!/^0?o?[0-7]{3,4}$/.test(text)) {
    throw new KilnError("usage.value", `"${text}" is no file mode`, {
      hint: "octal digits, as in 0660",
    });
  }
  return Number.parseInt(text.replace("o", ""), 8);
}

/** One of `words`, for a flag; the function knows them. Throws `usage.value`. */
export function choice<W extends string>(
  ...words: readonly W[]
): ((text: string) => W) & { readonly words: readonly W[] } {
  const parse = (text: string): W => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new KilnError("usage.value", `"${text}" is none of ${words.join(", ")}`);
  };
  return Object.assign(parse, { words });
}
