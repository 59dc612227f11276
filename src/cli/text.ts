/** Times, sizes, names and lists, as every command writes them. */

/**
 * A span of time for people: `0.09s 3.1s 48s 1m 12s 2h 03m`. With `precise`, seconds below a minute have one decimal
 * (`12.4s`).
 */
export function duration(milliseconds: number, options: { precise?: boolean } = {}): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 0.995) return `${seconds.toFixed(2)}s`;
  if (options.precise && seconds < 59.95) return `${seconds.toFixed(1)}s`;
  if (seconds < 9.95) return `${seconds.toFixed(1).replace(/\.0$/, "")}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m ${twoDigits(whole % 60)}s`;
  return `${Math.floor(minutes / 60)}h ${twoDigits(minutes % 60)}m`;
}

/** A running timer: whole seconds, nothing below one. */
export function timer(milliseconds: number): string {
  return milliseconds < 1000 ? "" : duration(Math.floor(milliseconds / 1000) * 1000);
}

/** How long ago: `just now`, `8 min ago`, `3 h ago`, `5 days ago`. */
export function ago(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** A number of bytes for people: `612 B`, `48 MiB`, `1.5 GiB`. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  for (const unit of ["KiB", "MiB", "GiB"]) {
    value /= 1024;
    if (value < 1023.5 || unit === "GiB")
      return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${bytes} B`;
}

/** Digits in groups of three: `1,128,446`. */
export function number(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 derivation`, `3 derivations`. */
export function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** The last 8 characters of a build id: UUIDv7 ids of one minute share their beginning. */
export function shortID(buildID: string): string {
  return buildID.slice(-8);
}

/** `a, b, c`, cut to `a, b, …` when there are more than `most`. */
export function list(items: readonly string[], most = 4): string {
  return items.length <= most ? items.join(", ") : `${items.slice(0, most).join(", ")}, …`;
}

/** As {@link list}, and it says how many more there are: `a, b and 3 more`. */
export function listAndMore(items: readonly string[], most: number): string {
  const more = items.length - most;
  return more <= 0
    ? items.join(", ")
    : `${items.slice(0, most).join(", ")} and ${number(more)} more`;
}

/** `text` in at most `width` characters, with `…` in the place of its middle. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text;
  if (width < 3) return text.slice(0, Math.max(0, width));
  const head = Math.ceil((width - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}

/** `text` in at most `width` characters, with `…` at its end when cut. */
export function cutEnd(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 2 ? text.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1)}…`;
}

/** The candidates nearest to what was written, best first: for "did you mean". */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  // A word of which no letter is left is another word.
  let bestDistance = Math.min(word.length, Math.max(1, Math.floor(word.length * 0.4)) + 1);
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
