/**
 * What builders write for terminals, as pieces of plain text with a look. Colours in 16, 256 and 24 bits, bold, dim, italic and
 * underlined; other escapes are nothing, other controls are pictures. Nothing is ever markup.
 */

export interface Piece {
  readonly text: string;
  /** Classes of the style sheet. */
  readonly className: string;
  /** A colour that has no class: `#rrggbb`. */
  readonly color?: string;
  readonly background?: string;
}

interface Look {
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
  /** A number of the 16 colours, or `#rrggbb`. */
  color: number | string | undefined;
  background: number | string | undefined;
}

const plain = (): Look => ({
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
  color: undefined,
  background: undefined,
});

const escape =
  // oxlint-disable-next-line no-control-regex
  /\u001b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~]?)/g;

/** The pieces of a line. Of a line that was written over (`\r`), what was written last. */
export function piecesOf(line: string): Piece[] {
  const shown = lastWritten(line);
  const pieces: Piece[] = [];
  const look = plain();
  let at = 0;
  const add = (text: string): void => {
    if (text !== "") pieces.push({ text: visible(text), ...lookOf(look) });
  };
  for (const match of shown.matchAll(escape)) {
    add(shown.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") apply(look, match[1] ?? "");
  }
  add(shown.slice(at));
  return pieces;
}

/** The text of a line as it is shown. */
export function textOf(line: string): string {
  return piecesOf(line)
    .map(({ text }) => text)
    .join("");
}

function lastWritten(line: string): string {
  if (!line.includes("\r")) return line;
  return line.split("\r").findLast((part) => part !== "") ?? "";
}

// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000b-\u001f\u007f]/g;
/** They would turn text around. */
const turning = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function visible(text: string): string {
  return text
    .replaceAll("\t", "        ".slice(0, 8))
    .replaceAll(controls, (control) =>
      String.fromCharCode(control === "\u007f" ? 0x2421 : 0x2400 + control.charCodeAt(0)),
    )
    .replaceAll(turning, (mark) => `<U+${mark.charCodeAt(0).toString(16).toUpperCase()}>`);
}

function apply(look: Look, parameters: string): void {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0;
    if (code === 0) Object.assign(look, plain());
    else if (code === 1) look.bold = true;
    else if (code === 2) look.dim = true;
    else if (code === 3) look.italic = true;
    else if (code === 4) look.underline = true;
    else if (code === 7) look.inverse = true;
    else if (code === 22) look.bold = look.dim = false;
    else if (code === 23) look.italic = false;
    else if (code === 24) look.underline = false;
    else if (code === 27) look.inverse = false;
    else if (code >= 30 && code <= 37) look.color = code - 30;
    else if (code >= 90 && code <= 97) look.color = code - 82;
    else if (code === 39) look.color = undefined;
    else if (code >= 40 && code <= 47) look.background = code - 40;
    else if (code >= 100 && code <= 107) look.background = code - 92;
    else if (code === 49) look.background = undefined;
    else if (code === 38 || code === 48) {
      const { color, used } = extended(codes.slice(i + 1));
      if (code === 38) look.color = color;
      else look.background = color;
      i += used;
    }
  }
}

/** `5;N` or `2;R;G;B`. */
function extended([kind, ...rest]: readonly number[]): {
  color: number | string | undefined;
  used: number;
} {
  if (kind === 5) return { color: indexed(rest[0] ?? 0), used: 2 };
  if (kind === 2) return { color: hex(rest[0] ?? 0, rest[1] ?? 0, rest[2] ?? 0), used: 4 };
  return { color: undefined, used: 0 };
}

function indexed(index: number): number | string {
  if (!(index >= 0 && index < 256)) return 7;
  if (index < 16) return index;
  if (index >= 232)
    return hex(8 + (index - 232) * 10, 8 + (index - 232) * 10, 8 + (index - 232) * 10);
  const cube = index - 16;
  return hex(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function level(step: number): number {
  return step === 0 ? 0 : 55 + step * 40;
}

function hex(...parts: readonly [number, number, number]): string {
  return `#${parts
    .map((part) =>
      Math.min(255, Math.max(0, part | 0))
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}

function lookOf(look: Look): Omit<Piece, "text"> {
  const [color, background] = look.inverse
    ? [look.background ?? "inverse", look.color ?? "inverse"]
    : [look.color, look.background];
  const classes = [
    look.bold && "t-bold",
    look.dim && "t-dim",
    look.italic && "t-italic",
    look.underline && "t-underline",
    typeof color === "number" && `t-c${color}`,
    typeof background === "number" && `t-b${background}`,
    color === "inverse" && "t-inverse",
    background === "inverse" && "t-inverse-back",
  ].filter((name) => name !== false);
  return {
    className: classes.join(" "),
    ...(typeof color === "string" && color !== "inverse" ? { color } : {}),
    ...(typeof background === "string" && background !== "inverse" ? { background } : {}),
  };
}
