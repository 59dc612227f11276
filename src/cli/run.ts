/** Runs a command line, says what went wrong, ends with an exit code. */
import { takeCalledName } from "./called.ts";
import type { Surroundings } from "./context.ts";
import { errorLines, exitCodeOf, ExitWith, toKilnError } from "./errors.ts";
import { Interrupts } from "./interrupts.ts";
import { makeProgram } from "./program.ts";
import { harmless } from "./progress/terminal-text.ts";

const interrupts = new Interrupts((code) => process.exit(code)).install();

const program = takeCalledName();

/** Runs the command line (without node and script) and gives the exit code; never rejects. */
export async function run(args: readonly string[]): Promise<number> {
  const surroundings: Surroundings = {
    env: process.env,
    program,
    interrupts,
    note: (line) => complain(`kiln: ${line}`),
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
    complain(errorLines(error, { debug, program }).join("\n"));
  }
  return exitCodeOf(thrown);
}

/** What is wrong may be the name of something, and somebody else has given it. */
function complain(text: string): void {
  const lines = process.stderr.isTTY
    ? text.split("\n").map((line) => harmless(line, { colour: true }))
    : [text];
  process.stderr.write(`${lines.join("\n")}\n`);
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

// Node ends quietly, and with 0, when there is nothing left to wait for. A command that has not ended by then has not done its work.
process.once("beforeExit", () => {
  process.exit(report(new Error("there was nothing left to wait for"), process.argv));
});
