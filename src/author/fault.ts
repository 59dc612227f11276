/** Faults of a build file, thrown at the line that is wrong. */
import { KilnError } from "../util/kiln-error.ts";
import { callerPlace, printPlace, type Place } from "./place.ts";

export interface FaultOptions {
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** Where it is; default: the innermost caller outside Kiln. */
  readonly place?: Place | undefined;
  readonly cause?: unknown;
}

/** A KilnError that knows its place in the build file. */
export class Fault extends KilnError {
  readonly place: Place | undefined;

  constructor(code: string, message: string, options: FaultOptions = {}) {
    const place = options.place ?? callerPlace();
    super(code, message, {
      ...(place && { at: printPlace(place) }),
      ...(options.hint !== undefined && { hint: options.hint }),
      cause: options.cause,
    });
    this.place = place;
  }
}

/** `value` for a message: texts quoted and cut, everything else by its kind. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 120 ? `${value.slice(0, 120)}…` : value);
  }
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null || value === undefined) return String(value);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Promise) return "a promise";
  return typeof value === "symbol" ? "a symbol" : "an object";
}

/** `text` with its first letter small, as Kiln's own messages have it, unless that belongs to a name. */
export function lowerFirst(text: string): string {
  return /^[A-Z][a-z]+\b/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

/** The one of `known` that was probably meant by `text`, if any: at most a third of its letters differ. */
export function nearest(text: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(text.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - text.length) >= least) continue;
    const distance = editDistance(text.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
