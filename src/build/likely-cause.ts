/** A guess at why a builder failed: what people look for first. */
import type { LogLine, LogLines } from "./log-lines.ts";
import { withoutEscapes } from "../util/terminal-codes.ts";

export interface LikelyCause {
  /** Whether a line looks like an error; otherwise these are only the last ones. */
  readonly isError: boolean;
  readonly lines: readonly { readonly number: number; readonly text: string }[];
}

/** How far from the end an error is looked for. */
const searchedLines = 2000;
const lastLines = 10;
const looksLikeError =
  /\berror(?:\[\w+\])?:|\berror TS\d|\bfatal(?: error)?:|\bpanic:|\bFAILED\b|\bnot ok \d/i;
/** What nobody caught, as Node and Python print it: `TypeError: …`, `SyntaxError [ERR_…]: …`, `AssertionError`. */
const looksThrown = /^(?:Uncaught )?(?:\w+\.)*(?:[A-Z]\w*)?(?:Error|Exception)(?: \[\w+\])?(?::|$)/;

/** The first line near the end that looks like an error, else the last lines; none of an empty log. */
export async function likelyCause(log: LogLines): Promise<LikelyCause | undefined> {
  const count = await log.count();
  if (count === 0) return undefined;
  const tail = await log.read(Math.max(1, count - searchedLines + 1), searchedLines);
  const shown = tail.map(plain).filter(({ text }) => !text.startsWith("*** Build failed:"));
  const error = shown.find(({ text }) => looksLikeError.test(text) || looksThrown.test(text));
  if (error !== undefined) return { isError: true, lines: [error] };
  return { isError: false, lines: shown.slice(-lastLines) };
}

function plain({ number, text }: LogLine): { number: number; text: string } {
  const visible =
    withoutEscapes(text)
      .split("\r")
      .findLast((part) => part !== "") ?? "";
  return { number, text: visible.slice(0, 1000).toWellFormed() };
}
