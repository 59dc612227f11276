import type { BuildTask } from "../executor.ts";

/** What a built-in builder gets from the process it runs in. */
export interface BuiltinContext {
  /** The environment of the daemon: proxies, the search path, certificates. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/**
 * A builder that is part of Kiln. Settles when nothing of it runs any more.
 *
 * Throws KilnError of kind `builder` or `input` for what the derivation's author can mend, the reason of the signal once that is
 * aborted, and anything else for faults of ours or of the machine.
 */
export type Builtin = (task: BuildTask, context: BuiltinContext) => Promise<void>;
