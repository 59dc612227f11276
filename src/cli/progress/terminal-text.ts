/**
 * What a builder may do to a terminal: colour and weight (SGR), nothing else. Cursor, title, clipboard, links and other controls
 * are dropped; of a line with carriage returns only its last part stays, as a terminal would show it in the end.
 */

// String sequences (OSC, DCS, SOS, PM, APC) end with BEL or ST; a cut one ends with the line. Then CSI, then two-character escapes.
const escapes =
  // oxlint-disable-next-line no-control-regex
  /\u001b[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)|\u001b\[[0-?]*[ -/]*[@-~]?|\u001b[ -/]*[0-~]?|\u009b[0-?]*[ -/]*[@-~]?/g;
// oxlint-disable-next-line no-control-regex
const sgr = /^\u001b\[[0-9;:]*m$/;
// Also the marks that change the direction of text, which can make a line read as another one.
const controls =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000a-\u001a\u001c-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** One line of a builder (without its line end), harmless on a terminal. Without `colour`, SGR is dropped, too. */
export function harmless(line: string, options: { colour: boolean }): string {
  let styled = false;
  const text = lastPart(line)
    .replaceAll(escapes, (sequence) => {
      if (!options.colour || !sgr.test(sequence)) return "";
      styled = true;
      return sequence;
    })
    .replaceAll("\t", "    ")
    .replaceAll(controls, "");
  return styled ? `${text}\u001b[0m` : text;
}

function lastPart(line: string): string {
  const end = line.length - (/\r*$/.exec(line)?.[0].length ?? 0);
  return line.slice(line.lastIndexOf("\r", end - 1) + 1, end);
}

/** Bytes that arrive in pieces, as whole lines. Invalid UTF-8 becomes U+FFFD; a line without end is cut at `longest` characters. */
export class LineReader {
  readonly #decoder = new TextDecoder();
  readonly #longest: number;
  #rest = "";

  constructor(longest: number = 64 * 1024) {
    this.#longest = longest;
  }

  /** The lines that are complete now. */
  push(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > this.#longest) {
      lines.push(this.#rest);
      this.#rest = "";
    }
    return lines;
  }

  /** What has come of the line that is not complete. */
  get partial(): string {
    return this.#rest;
  }

  /** The last line, if it has no end of its own. */
  end(): string[] {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return rest === "" ? [] : [rest];
  }
}
