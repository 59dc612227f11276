/** Lines of the daemon's log: in zb's form, `kiln: 2026/11/22 12:34:56 INFO: text`, or as JSON for programs. */
import type { Log, LogFields, LogLevel } from "../server/options.ts";

export type ServeLog = Log;

export type LogFormat = "text" | "json";

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** One line with its line end. Text from outside cannot begin another one. */
export function logLine(time: Date, level: LogLevel, text: string): string {
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("/");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  const oneLine = text.replaceAll(/[\n\r]+/g, " ").replaceAll(/\p{Cc}/gu, "?");
  return `kiln: ${date} ${clock} ${level.toUpperCase()}: ${oneLine}\n`;
}

/** One JSON object with its line end: `time`, `level`, `message`, and what the line is about. */
export function jsonLogLine(
  time: Date,
  level: LogLevel,
  text: string,
  fields: LogFields = {},
): string {
  return `${JSON.stringify({ ...fields, time: time.toISOString(), level, message: text })}\n`;
}
