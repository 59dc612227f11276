/** How a fault in a build file reaches the person who wrote it. */
import { KilnError, type KilnErrorOptions } from "../util/kiln-error.ts";

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
