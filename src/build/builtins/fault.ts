/** Faults of built-in builders, and how they are worded. */
import { bytesToString } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";

/** A fault the derivation's author can fix: a wrong URL, a hostile archive, a missing variable. */
export function builderFault(code: string, message: string, cause?: unknown): KilnError {
  return new KilnError(code, message, { kind: "builder", cause });
}

/** A name out of an archive or off the wire, fit for one line of a log: in quotes, escaped and not too long. */
export function quote(text: string | Uint8Array): string {
  const whole = typeof text === "string" ? text : bytesToString(text);
  const shown = whole.length > 200 ? `${whole.slice(0, 200)}…` : whole;
  // JSON escapes what could end the line or colour a terminal, but for the controls above ASCII.
  return JSON.stringify(shown).replaceAll(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** What a thrown value says, for a message that names the thing itself. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
