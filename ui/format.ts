/** Figures as people read them. */

/** `0.09s`, `14.2s`, `1m 12s`, `2h 05m`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 1) return `${seconds.toFixed(2)}s`;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m ${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, "0")}m`;
}

/** For what still goes on: whole seconds. */
export function elapsed(milliseconds: number): string {
  const whole = Math.max(0, Math.floor(milliseconds / 1000));
  return whole < 60 ? `${whole}s` : duration(whole * 1000);
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `412 KiB`, `2.1 MiB`. */
export function bytes(count: number): string {
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")} ${units[unit]}`;
}

const numbers = new Intl.NumberFormat("en-US");

export function number(value: number): string {
  return numbers.format(value);
}

/** `now`, `8 min ago`, `3 h ago`, `21 days ago`. */
export function ago(time: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(time)) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

/** The time of day, with the date unless it is today's. */
export function clock(time: string, now: number): string {
  const date = new Date(time);
  const text = date.toLocaleTimeString("en-GB");
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? text : `${date.toLocaleDateString("en-CA")} ${text}`;
}

/** The end of a build's id, which is enough for people. */
export function shortID(id: string): string {
  return id.slice(-8);
}

/** `1 derivation`, `2 derivations`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** The name in a store path: what follows the digest. */
export function nameOfPath(path: string): string {
  return path.slice(path.lastIndexOf("/") + 34);
}
