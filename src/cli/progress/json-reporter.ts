/** `--json`: every event as one line on standard output, and nothing else there. */
import type { BuildEvent } from "../../build/events.ts";
import type { Reporter } from "./reporter.ts";

export class JsonReporter implements Reporter {
  readonly #stream: NodeJS.WritableStream;
  readonly #logs: boolean;

  constructor(stream: NodeJS.WritableStream, options: { logs: boolean }) {
    this.#stream = stream;
    this.#logs = options.logs;
  }

  event(event: BuildEvent): void {
    if (event.type === "log" && !this.#logs) return;
    this.#stream.write(`${JSON.stringify(event)}\n`);
  }

  note(): void {}

  close(): void {}
}
