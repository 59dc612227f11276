/** Shapes, colours and the decisions about them: one table for every place that names a state. */
import { styleText } from "node:util";
import type { ResultState } from "../../build/events.ts";
import type { Environment } from "../settings.ts";

export type ColourWish = "auto" | "always" | "never";
export type ProgressWish = "auto" | "tree" | "plain" | "quiet";

type Format = Parameters<typeof styleText>[0];
type Role = ResultState | "dim" | "strong";

interface Look {
  readonly shape: string;
  readonly ascii: string;
  readonly format: Format;
}

const looks: Readonly<Record<ResultState, Look>> = {
  waiting: { shape: "◦", ascii: ".", format: "dim" },
  substituting: { shape: "⇣", ascii: "v", format: "cyan" },
  running: { shape: "▸", ascii: ">", format: "yellow" },
  built: { shape: "✓", ascii: "+", format: "green" },
  substituted: { shape: "⇣", ascii: "v", format: "cyan" },
  reused: { shape: "=", ascii: "=", format: "cyan" },
  failed: { shape: "✗", ascii: "x", format: ["red", "bold"] },
  error: { shape: "!", ascii: "!", format: ["magenta", "bold"] },
  cancelled: { shape: "⊘", ascii: "#", format: "dim" },
  skipped: { shape: "-", ascii: "-", format: "dim" },
  interrupted: { shape: "?", ascii: "?", format: "magenta" },
};

export interface Style {
  readonly colour: boolean;
  readonly ascii: boolean;
  /** The shape of a state, coloured. */
  shape(state: ResultState): string;
  paint(role: Role, text: string): string;
  /** What may be written of a line: without UTF-8, only ASCII. */
  line(text: string): string;
  readonly branch: string;
  readonly rule: string;
  readonly barDone: string;
  readonly barRest: string;
  readonly arrow: string;
}

export function makeStyle(options: { colour: boolean; ascii: boolean }): Style {
  const { colour, ascii } = options;
  const paint = (role: Role, text: string): string => {
    if (!colour || text === "") return text;
    const format: Format = role === "dim" ? "dim" : role === "strong" ? "bold" : looks[role].format;
    return styleText(format, text, { validateStream: false });
  };
  return {
    colour,
    ascii,
    paint,
    line: (text) => (ascii ? toAscii(text) : text),
    shape: (state) => paint(state, ascii ? looks[state].ascii : looks[state].shape),
    branch: ascii ? "\\" : "└",
    rule: ascii ? "|" : "│",
    barDone: ascii ? "=" : "━",
    barRest: ascii ? "-" : "─",
    arrow: ascii ? ">" : "›",
  };
}

/** Each character stays one column wide. */
function toAscii(text: string): string {
  return text.replaceAll("…", "~").replaceAll(/[\u0080-\u{10ffff}]/gu, "?");
}

/** Whether to colour: --color, NO_COLOR (set, not empty), FORCE_COLOR, a terminal; the first that says something counts. */
export function wantsColour(wish: ColourWish, env: Environment, isTerminal: boolean): boolean {
  if (wish !== "auto") return wish === "always";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  if ((env["FORCE_COLOR"] ?? "") !== "") return env["FORCE_COLOR"] !== "0";
  return isTerminal && env["TERM"] !== "dumb";
}

/** Whether only ASCII may be written: the locale is not UTF-8, or the terminal has few shapes. */
export function wantsAscii(env: Environment): boolean {
  const locale = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]].find(
    (value) => (value ?? "") !== "",
  );
  return !/utf-?8/i.test(locale ?? "") || env["TERM"] === "dumb" || env["TERM"] === "linux";
}

/** How progress is shown: a tree on a terminal, lines elsewhere. */
export function progressKind(
  wish: ProgressWish,
  env: Environment,
  isTerminal: boolean,
): Exclude<ProgressWish, "auto"> {
  if (wish !== "auto") return wish;
  return isTerminal && (env["CI"] ?? "") === "" && env["TERM"] !== "dumb" ? "tree" : "plain";
}
