/**
 * The process that runs a build file. One of its own, because modules cannot be unloaded, an endless loop must be stoppable, and
 * Node's permission switches are per process.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { dirname, join } from "node:path";
import { Duplex, type Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { KilnError } from "../util/kiln-error.ts";
import { EvaluationError, evaluationError } from "./evaluation-error.ts";
import {
  messageDescriptor,
  streamDescriptor,
  type Failure,
  type Instructions,
  type Plan,
  type Report,
  type Wish,
} from "./messages.ts";

/** How long a child that is no longer needed may take to end, in milliseconds. */
const maxLeaveTime = 1000;

/** More than any plan has; a child gone mad shall not fill the memory. */
const maxReportSize = 256 * 1024 * 1024;

const evaluator = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "evaluator.ts" : "evaluator.js", import.meta.url),
);

/** What a build file could see of the machine without asking, and must not depend on. */
export interface Surroundings {
  /** As `Pacific/Kiritimati`. */
  readonly timeZone: string;
  /** As `tr_TR.UTF-8`. */
  readonly locale: string;
}

/** The child process and the lines that go to and fro. */
export class Child {
  readonly #process: ChildProcess;
  readonly #reports: AsyncIterator<Report>;
  readonly #closed: Promise<unknown>;
  #planned = false;

  constructor(
    file: string,
    cache: string | undefined,
    {
      signal,
      surroundings,
    }: { readonly signal?: AbortSignal; readonly surroundings?: Surroundings },
  ) {
    const switches = [
      "--permission",
      "--allow-fs-read=*",
      ...(cache === undefined ? [] : [`--allow-fs-write=${cache}`]),
      // Node's own words about type stripping are none of the user's business.
      "--disable-warning=ExperimentalWarning",
      "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
    ];
    this.#process = spawn(process.execPath, [...switches, evaluator], {
      cwd: dirname(file),
      env: {
        TZ: surroundings?.timeZone ?? "UTC",
        ...(surroundings !== undefined && { LC_ALL: surroundings.locale }),
        ...(cache !== undefined && { NODE_COMPILE_CACHE: join(cache, "compiled") }),
      },
      // What a build file prints must not mix with results.
      stdio: ["ignore", 2, 2, "pipe", "pipe"],
      ...(signal && { signal, killSignal: "SIGKILL" }),
    });
    // That it could not start, or was killed, shows in that it says nothing.
    this.#process.on("error", () => {});
    this.#messages.on("error", () => {});
    this.#closed = new Promise((resolve) => this.#process.once("close", resolve));
    this.#reports = reportsIn(this.#messages)[Symbol.asyncIterator]();
  }

  /** Writes a message to the child. */
  tell(message: Instructions | Wish): void {
    this.#messages.write(`${JSON.stringify(message)}\n`);
  }

  /**
   * What the child says first.
   *
   * @throws EvaluationError for a failure, or when the child ends without a word
   */
  async plan(): Promise<Plan> {
    const report = await this.#report();
    if (report === undefined) throw await this.#silent();
    if (report.type === "failure") throw evaluationError(report);
    this.#planned = true;
    return report;
  }

  /** Asks for objects, and gives the stream that comes; throws an EvaluationError when it breaks off. */
  async *send(wish: Wish): AsyncGenerator<Buffer> {
    this.tell(wish);
    for await (const chunk of this.#stream) yield chunk;
    const report = await this.#report();
    if (report?.type === "failure") throw evaluationError(report);
    await this.#closed;
    if (this.#process.exitCode !== 0) throw await this.#silent();
  }

  /** Ends the process whatever it does, and waits for it. */
  async end(): Promise<void> {
    if (this.#process.pid === undefined) return;
    // One that has told its plan ends by itself when nobody listens any more, after putting its cache in order.
    const patience = this.#planned ? maxLeaveTime : 0;
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), patience);
    this.#messages.destroy();
    this.#stream.destroy();
    await this.#closed;
    clearTimeout(timer);
  }

  async #report(): Promise<Report | undefined> {
    const { value, done } = await this.#reports.next();
    return done === true ? undefined : value;
  }

  async #silent(): Promise<Error> {
    this.#stream.destroy();
    await this.#closed;
    const { exitCode, signalCode } = this.#process;
    const end =
      signalCode === null ? `ended with status ${exitCode}` : `was killed by ${signalCode}`;
    return new EvaluationError("author.ended", `the evaluation ${end}`);
  }

  get #messages(): Duplex {
    return this.#pipe(messageDescriptor);
  }

  get #stream(): Readable {
    return this.#pipe(streamDescriptor);
  }

  #pipe(descriptor: number): Duplex {
    const pipe = this.#process.stdio[descriptor];
    if (pipe instanceof Duplex) return pipe;
    throw new KilnError("author.ended", "the evaluation could not start", { kind: "internal" });
  }
}

async function* reportsIn(pipe: Readable): AsyncGenerator<Report> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of pipe as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      yield parseReport(Buffer.concat(parts).toString("utf8"));
      parts = [];
      size = 0;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    size += chunk.length;
    if (size > maxReportSize) throw malformed("a report without end");
  }
}

function parseReport(text: string): Report {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    throw malformed("no JSON");
  }
  if (isPlan(report) || isFailure(report)) return report;
  throw malformed("neither a plan nor a failure");
}

function isFailure(value: unknown): value is Failure {
  const { type, code, message, frames } = (value ?? {}) as Partial<Failure>;
  return (
    type === "failure" &&
    typeof code === "string" &&
    typeof message === "string" &&
    Array.isArray(frames)
  );
}

function isPlan(value: unknown): value is Plan {
  const plan = (value ?? {}) as Partial<Plan>;
  const lists = [plan.wanted, plan.targets, plan.objects, plan.modules, plan.filesRead];
  return (
    plan.type === "plan" &&
    lists.every((list) => Array.isArray(list)) &&
    (plan.objects ?? []).every(
      ({ path, references }) => typeof path === "string" && Array.isArray(references),
    ) &&
    (plan.wanted ?? []).every(
      ({ name, drvPath }) => typeof name === "string" && typeof drvPath === "string",
    )
  );
}

/** What the child said makes no sense: nobody's build file can do that by accident. */
export function malformed(what: string): KilnError {
  return new KilnError("author.plan", `the evaluation told ${what}`, { kind: "internal" });
}
