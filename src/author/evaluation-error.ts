/** How a fault in a build file reaches the person who wrote it. */
import { relative, resolve } from "node:path";
import { KilnError, type KilnErrorOptions } from "../util/kiln-error.ts";
import type { Failure } from "./messages.ts";
import type { Place } from "./place.ts";

export interface EvaluationErrorOptions extends KilnErrorOptions {
  /** The source line and, below it, the caret; empty when no line is known. */
  readonly excerpt?: readonly string[];
  /** Frames of the user and of packages, innermost first, as `name (file:line:column)`; Kiln's and Node's are dropped. */
  readonly frames?: readonly string[];
}

/**
 * A build file could not be evaluated. `at` is `file:line:column`, relative to the working directory when below it. To print it:
 * the message and `at` as for every KilnError, then {@link excerpt}, then {@link frames} each after `at `.
 */
export class EvaluationError extends KilnError {
  readonly excerpt: readonly string[];
  readonly frames: readonly string[];

  constructor(code: string, message: string, options: EvaluationErrorOptions = {}) {
    super(code, message, options);
    this.excerpt = options.excerpt ?? [];
    this.frames = options.frames ?? [];
  }
}

/** The widest line that is shown whole, in characters. */
const maxWidth = 160;

/** What the child process told, for the user. */
export function evaluationError(failure: Failure): EvaluationError {
  const { code, kind, message, hint, place, line, frames } = failure;
  return new EvaluationError(code, message, {
    kind,
    ...(hint !== undefined && { hint }),
    ...(place && { at: shown(place) }),
    ...(place && line !== undefined && { excerpt: excerptOf(line, place.column) }),
    frames: frames.map((frame) =>
      frame.name === "" ? shown(frame) : `${frame.name} (${shown(frame)})`,
    ),
  });
}

/** `file:line:column`, as short as it can be clicked on. */
function shown({ file, line, column }: Place): string {
  return `${nearName(file)}:${line}:${column}`;
}

/** A file's name from the working directory, when it is below that. */
export function nearName(file: string): string {
  const near = relative(process.cwd(), file);
  return near.startsWith("..") ? resolve(file) : near;
}

/** The line, or what is around the column of a long one, and a caret below. */
function excerptOf(line: string, column: number): string[] {
  const start = column <= maxWidth ? 0 : column - maxWidth / 2;
  const text = line.slice(start, start + maxWidth);
  const before = line.slice(start, column - 1);
  return [text, `${before.replaceAll(/[^\t]/g, " ")}^`];
}
