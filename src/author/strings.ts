/** From values of a build file to the strings of a derivation. */
import { context } from "./context.ts";
import { Fault, show } from "./fault.ts";
import type { Place } from "./place.ts";
import { replacePlaceholders, type Inputs } from "./placeholders.ts";
import { placeOfKey } from "./syntax.ts";
import { isPrintable } from "./values.ts";

/** The derivation, text or tree that strings are made for, for messages and for what is found in them. */
export interface Subject {
  /** `derivation "app"` */
  readonly label: string;
  readonly place: Place | undefined;
  readonly inputs: Inputs;
}

/** A fault of `subject`. */
export function wrong(
  subject: Pick<Subject, "label" | "place">,
  problem: string,
  hint?: string,
): Fault {
  return new Fault("author.option", `${subject.label}: ${problem}`, { hint, place: subject.place });
}

/** One value as its string, placeholders replaced. `where` is `env.LEVEL` or `args[2]`. */
export function valueString(subject: Subject, value: unknown, where: string): string {
  if (typeof value === "string") return resolved(subject, value, where);
  if (isPrintable(value)) return resolved(subject, printed(subject, value), where);
  if (typeof value === "boolean") return value ? "1" : "";
  if (typeof value === "number") {
    if (Number.isSafeInteger(value)) return String(value);
    throw wrong(subject, `${where} is ${value}; ${numberAdvice(value)}`);
  }
  if (Array.isArray(value)) throw wrong(subject, `${where} is a list inside a list`, "flatten it");
  throw wrong(subject, `${where} is ${show(value)}`, adviceFor(value));
}

/** A value, or a list of them joined by blanks. */
export function listString(subject: Subject, value: unknown, where: string): string {
  if (!Array.isArray(value)) return valueString(subject, value, where);
  return value.map((part, i) => valueString(subject, part, `${where}[${i}]`)).join(" ");
}

/** `text` with its placeholders replaced, checked for what no string of a build may hold. */
export function resolved(subject: Subject, text: string, where: string): string {
  if (text.includes("\0")) throw wrong(subject, `${where} has a NUL character`);
  checkSurrogates(subject, text, where);
  checkLiteralPaths(subject, text, where);
  return replacePlaceholders(text, subject.inputs);
}

/** The names an object may have, as the message about a wrong one says. */
export function checkName(
  subject: Pick<Subject, "label" | "place">,
  name: unknown,
  maxLength: number,
  hint?: string,
): asserts name is string {
  if (typeof name !== "string" || name === "") {
    throw wrong(subject, `its name is ${name === "" ? "empty" : show(name)}`, hint);
  }
  const illegal = /[^a-zA-Z0-9+\-._=]/u.exec(name);
  if (illegal !== null) {
    const allowed = "a-z A-Z 0-9 + - . _ =";
    throw wrong(subject, `its name has ${show(illegal[0])}; allowed are ${allowed}`, hint);
  }
  if (name.length > maxLength) {
    throw wrong(subject, `its name has ${name.length} characters; ${maxLength} are allowed`, hint);
  }
}

/** Throws unless `options` is an object with no other members than `known`. */
export function checkOptions(
  subject: Pick<Subject, "label" | "place">,
  options: unknown,
  known: readonly string[],
  nearest: (text: string, known: Iterable<string>) => string | undefined,
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw wrong(subject, `its options are ${show(options)}, not an object`);
  }
  for (const option of Object.keys(options)) {
    if (known.includes(option)) continue;
    const meant = nearest(option, known);
    const { label, place } = subject;
    throw wrong(
      { label, place: place && placeOfKey(place, option) },
      `there is no option ${show(option)}`,
      meant === undefined ? `the options are ${known.join(", ")}` : `write ${meant}`,
    );
  }
}

function printed(subject: Subject, value: { toString(): string }): string {
  try {
    return value.toString();
  } catch (error) {
    // Printing an output needs no more than its derivation, so only the missing `out` fails; that is this derivation's fault.
    if (!(error instanceof Fault) || error.code !== "author.output") throw error;
    throw new Fault(error.code, `${subject.label}: ${error.message}`, {
      hint: error.hint,
      place: subject.place,
    });
  }
}

function checkSurrogates(subject: Subject, text: string, where: string): void {
  if (text.isWellFormed()) return;
  // U+DC80 to U+DCFF stand for bytes that are no UTF-8 (readText gives them); other halves stand for nothing.
  if (text.replaceAll(/[\udc80-\udcff]/gu, "").isWellFormed()) return;
  throw wrong(subject, `${where} has half a surrogate pair, which is no text`);
}

function checkLiteralPaths(subject: Subject, text: string, where: string): void {
  const directory = `${context().storeDirectory}/`;
  let at = text.indexOf(directory);
  for (; at !== -1; at = text.indexOf(directory, at + 1)) {
    const [name] = /^[0-9a-df-np-sv-z]{32}-[a-zA-Z0-9+\-._=]+/.exec(
      text.slice(at + directory.length),
    ) ?? [undefined];
    if (name === undefined) continue;
    throw wrong(
      subject,
      `${where} has the store path ${directory}${name} as plain text, which makes no dependency`,
      `use the value that stands for it, or storePath(${show(directory + name)})`,
    );
  }
}

function numberAdvice(value: number): string {
  if (Number.isInteger(value)) return "write numbers this large as strings";
  if (Number.isFinite(value)) return "write numbers with a fraction as strings";
  return "that is no number to build with";
}

function adviceFor(value: unknown): string | undefined {
  if (value === undefined) return "leave it out of the list";
  if (value === null) return "leave it out, or write undefined";
  if (typeof value === "bigint") return "write String(…) around it";
  if (value instanceof Promise) return "write await in front of it";
  if (value instanceof URL) return "write path(…) around it";
  if (typeof value === "function") return "call it";
  if (typeof value === "object") return "structured values go into attrs";
  return undefined;
}
