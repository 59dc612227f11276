/** What builders write for terminals, taken away: for search and for lines that stand alone. */

/** Escape sequences: CSI, OSC (to its end, or to the end of the line), and two-character ones. */
const escapes =
  // oxlint-disable-next-line no-control-regex
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;

export function withoutEscapes(text: string): string {
  return text.includes("\u001b") ? text.replaceAll(escapes, "") : text;
}
