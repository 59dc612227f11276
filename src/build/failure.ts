/** How builds fail, in zb's words for the log and Kiln's for everybody else. */
import { inOneLine, KilnError } from "../util/kiln-error.ts";
import { printable } from "../util/printable.ts";
import type { Failure, ResultState } from "./events.ts";
import type { BuildOutcome } from "./executor.ts";
import type { Outputs } from "./plan.ts";

/** A result that did not come about. */
export interface Shortfall {
  readonly state: Extract<ResultState, "failed" | "error" | "cancelled" | "interrupted">;
  readonly failure: Failure;
  /** What the log ends with. */
  readonly logLine: string;
  readonly exitCode?: number;
  readonly signal?: string;
}

/** What `Signal.String` of Go gives on Linux: what zb writes into logs. */
const signalWords: Readonly<Record<string, string>> = {
  SIGHUP: "hangup",
  SIGINT: "interrupt",
  SIGQUIT: "quit",
  SIGILL: "illegal instruction",
  SIGTRAP: "trace/breakpoint trap",
  SIGABRT: "aborted",
  SIGBUS: "bus error",
  SIGFPE: "floating point exception",
  SIGKILL: "killed",
  SIGUSR1: "user defined signal 1",
  SIGSEGV: "segmentation fault",
  SIGUSR2: "user defined signal 2",
  SIGPIPE: "broken pipe",
  SIGALRM: "alarm clock",
  SIGTERM: "terminated",
  SIGSTKFLT: "stack fault",
  SIGXCPU: "CPU time limit exceeded",
  SIGXFSZ: "file size limit exceeded",
  SIGVTALRM: "virtual timer expired",
  SIGPROF: "profiling timer expired",
  SIGIO: "I/O possible",
  SIGPWR: "power failure",
  SIGSYS: "bad system call",
};

/** One without a name, as those for real time, is called by its number: `SIG40`. */
function wordsFor(signal: string): string {
  return signalWords[signal] ?? signal.replace(/^SIG(?=\d)/, "signal ");
}

/** Why this outcome of the builder called `builder` is a failure; undefined when it is none. */
export function shortfallOf(outcome: BuildOutcome, builder: string): Shortfall | undefined {
  const isSuccess = outcome.type === "exited" && outcome.code === 0;
  return isSuccess ? undefined : explain(outcome, builder);
}

function explain(outcome: BuildOutcome, builder: string): Shortfall {
  if (outcome.type === "exited") {
    return {
      ...builderFault(
        "builder.exit",
        withRemedy(`builder exited with status ${outcome.code}`, outcome),
      ),
      logLine: `*** Build failed: exit status ${outcome.code}`,
      exitCode: outcome.code,
    };
  }
  if (outcome.type === "signaled") {
    return {
      ...builderFault("builder.signal", `builder was ended by ${outcome.signal}`),
      logLine: `*** Build failed: signal: ${wordsFor(outcome.signal)}`,
      signal: outcome.signal,
    };
  }
  const message = printable(outcome.message);
  if (outcome.type === "notStarted") {
    return {
      ...builderFault("builder.start", withRemedy(message, outcome)),
      logLine: `*** Build failed: ${message}`,
    };
  }
  const reason = outcome.code === "builtin.unknown" ? message : `${builder} failed`;
  return { ...builderFault(outcome.code, message), logLine: `*** Build failed: ${reason}` };
}

function withRemedy(message: string, { remedy }: { readonly remedy?: string }): string {
  return remedy === undefined ? message : `${message}: ${remedy}`;
}

/** The builder ended well, and an output is not there. */
export function missingOutput(name: string): Shortfall {
  const message = `builder failed to produce output $${name}`;
  return {
    ...builderFault("output.missing", message),
    logLine: `*** Build failed: ${message}`,
    exitCode: 0,
  };
}

/** What was made again is not what was there; undefined when it is. */
export function differentOutput(known: Outputs, made: Outputs): Shortfall | undefined {
  for (const [name, path] of made) {
    const before = known.get(name);
    if (before === undefined || before === path) continue;
    const message = `output ${name} came out different`;
    return {
      ...builderFault("check.differs", message),
      logLine: `*** Check failed: ${message}: it was ${before}, and is ${path} this time`,
    };
  }
  return undefined;
}

/** Codes of KilnErrors of kind `internal` that say: stopped, by somebody or by the end of the daemon. */
const stopped = { "build.cancelled": "cancelled", "build.interrupted": "interrupted" } as const;

/** What a thrown error makes of the result of `drvPath`. */
export function shortfallOfError(thrown: unknown, drvPath: string): Shortfall {
  const error = KilnError.from(thrown);
  const { code } = error;
  // It may have names in it that the builder has given.
  const message = printable(error.message);
  if (code === "build.cancelled" || code === "build.interrupted") {
    return {
      state: stopped[code],
      failure: { kind: "internal", code, message },
      logLine: `*** Build failed: ${message}`,
    };
  }
  if (error.kind === "builder") {
    return { ...builderFault(code, message), logLine: `*** Build failed: ${message}` };
  }
  return {
    state: "error",
    failure: { kind: error.kind, code, message: printable(inOneLine(error)) },
    logLine: `zb internal error: build ${drvPath}: ${message}`,
  };
}

function builderFault(code: string, message: string): { state: "failed"; failure: Failure } {
  return { state: "failed", failure: { kind: "builder", code, message } };
}
