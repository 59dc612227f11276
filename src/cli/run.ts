/** Runs a command line, says what went wrong, ends with an exit code. */
import { takeCalledName } from "./called.ts";
import type { Surroundings } from "./context.ts";
import { errorLines, exitCodeOf, ExitWith, toKilnError } from "./errors.ts";
import { Interrupts } from "./interrupts.ts";
import { makeProgram } from "./program.ts";

const interrupts = new Interrupts((code) => process.exit(code)).install();

const program = takeCalledName();

/** Runs the command line (without node and script) and gives the exit code; never rejects. */
export async function run(args: readonly string[]): Promise<number> {
  const surroundings: Surroundings = {
    env: process.env,
    program,
    interrupts,
    note: (line) => process.stderr.write(`kiln: ${line}\n`),
  };
  try {
    return await makeProgram(surroundings).run(args);
  } catch (error) {
    return report(error, args);
  }
}

function report(thrown: unknown, args: readonly string[]): number {
  if (!(thrown instanceof ExitWith)) {
    const error = toKilnError(thrown);
    const debug = args.some(
      (arg) => arg === "--debug" || /^--debug=(?:1|[tT]|true|True|TRUE)$/.test(arg),
    );
    process.stderr.write(`${errorLines(error, { debug, program }).join("\n")}\n`);
  }
  return exitCodeOf(thrown);
}

// Whoever reads our output may leave first (`kiln log x | head`). Node ignores SIGPIPE and reports a failed write.
process.stdout.once("error", () => {
  process.stdout.on("error", () => {});
  interrupts.receive("SIGPIPE");
});
process.stderr.on("error", () => {});

process.on("uncaughtException", (error) => {
  process.exit(report(error, process.argv));
});
