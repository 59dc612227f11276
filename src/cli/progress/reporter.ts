/** The ways to show a build, all of them readers of its events. Everything but JSON goes to standard error. */
import type { BuildEvent, ResultState } from "../../build/events.ts";
import type { Environment } from "../settings.ts";
import { duration, shortID } from "../text.ts";
import { type BuildView, type ResultView } from "./build-view.ts";
import {
  failureBlock,
  failureText,
  lastLines,
  planLine,
  reasonText,
  messageText,
  remedyText,
  skippedText,
  summaryLine,
} from "./report.ts";
import type { Style } from "./style.ts";
import { harmless } from "./terminal-text.ts";
import type { Terminal } from "./terminal.ts";
import { TreeScreen } from "./tree-screen.ts";
import { whyLines } from "./why.ts";

export interface Reporter {
  /** An event that the view has taken in, and the whole lines of a builder's log that came with it. */
  event(event: BuildEvent, lines: readonly string[]): void;
  /** A line that stays. */
  note(line: string): void;
  /** Ends what moves; called once, also when the build could not be followed to its end. */
  close(): void;
}

export interface ReporterOptions {
  readonly kind: "tree" | "plain" | "quiet";
  readonly view: BuildView;
  readonly style: Style;
  readonly stream: Terminal;
  readonly env: Environment;
  /** All log lines (-L). */
  readonly logs: boolean;
  /** Reasons and paths (-v). */
  readonly verbose: boolean;
  /** The command that builds again and keeps the directories of failed builders. */
  readonly retry: () => string | undefined;
  /** A command to be typed next, for this store. */
  readonly kiln: (words: string) => string;
  /** Say why things are built (--why); default false. */
  readonly why?: boolean;
  /** Say nothing of a build that found everything there; default false. */
  readonly silentReuse?: boolean;
  /** Where the daemon's page is, if it has one. */
  readonly page?: string | undefined;
  /** The folder of the objects on this machine, where that is known. */
  readonly realDirectory?: string | undefined;
}

/** How often a sign of life comes where nothing moves. */
const signOfLifeMs = 30_000;
/** Who comes to a build that is under way is told so, once nothing has come for this long of what was before. */
const arrivalMs = 200;

export async function makeReporter(options: ReporterOptions): Promise<Reporter> {
  if (options.kind === "tree") return new TreeReporter(options, await TreeScreen.open(options));
  return new LineReporter(options);
}

function isWrong(state: ResultState): boolean {
  return state === "failed" || state === "error" || state === "interrupted";
}

/** What both kinds share. */
abstract class TextReporter implements Reporter {
  protected readonly options: ReporterOptions;
  #planSaid = false;
  #whySaid = false;

  constructor(options: ReporterOptions) {
    this.options = options;
  }

  abstract note(line: string): void;
  abstract close(): void;
  abstract event(event: BuildEvent, lines: readonly string[]): void;

  /** The plan in one line, once, when there is something to build. */
  protected sayPlan(): void {
    const { view } = this.options;
    const plan = view.plan;
    if (this.#planSaid || plan === undefined || plan.build + plan.substitute === 0) return;
    this.#planSaid = true;
    const line = planLine(view);
    if (line !== undefined) this.note(`kiln: ${line}`);
    this.sayWhy();
  }

  /** Why things are built, once, where that was asked for. */
  protected sayWhy(): void {
    const { view, style, why = false, realDirectory } = this.options;
    if (!why || this.#whySaid) return;
    this.#whySaid = true;
    const made = new Map([...view.results].filter(([, { action }]) => action === "build"));
    for (const line of whyLines(view.targets, made, { style, realDirectory, now: Date.now() }))
      this.note(line);
  }

  protected saySummary(): void {
    const { view, style, silentReuse = false } = this.options;
    if (view.state === "reused" && silentReuse) return;
    this.note(`kiln: ${summaryLine(view, style)}`);
  }

  /** The command that shows the whole log of a result. */
  protected logCommand({ name }: ResultView): string {
    return this.options.kiln(`log ${shortID(this.options.view.buildID)} ${name}`);
  }

  /** Where to see the build in a browser. */
  protected page(): string | undefined {
    const { page, view } = this.options;
    return page === undefined ? undefined : new URL(`build/${view.buildID}/`, page).href;
  }

  protected logLines(drvPath: string, lines: readonly string[]): void {
    const { view, style } = this.options;
    const name = view.nameOf(drvPath);
    for (const line of lines)
      this.note(`${style.paint("dim", `${name}|`)} ${harmless(line, style)}`);
  }
}

/** The tree: what has ended scrolls away above, what runs moves below. */
class TreeReporter extends TextReporter {
  readonly #screen: TreeScreen;

  constructor(options: ReporterOptions, screen: TreeScreen) {
    super(options);
    this.#screen = screen;
  }

  event(event: BuildEvent, lines: readonly string[]): void {
    const { view, style, logs } = this.options;
    if (logs && "drvPath" in event) this.logLines(event.drvPath, lines);
    if (event.type === "result.started") this.sayPlan();
    else if (event.type === "result.finished") this.#finished(view.result(event.drvPath));
    else if (event.type === "message" && event.level !== "debug")
      this.note(`kiln: ${messageText(event)}`);
    else if (event.type === "build.finished") {
      this.#screen.stop();
      this.sayWhy();
      const skipped = skippedText(view);
      if (skipped !== undefined) {
        const { names, why } = skipped;
        this.note(`${style.shape("skipped")} ${names.padEnd(32)}  ${why}`);
      }
      this.saySummary();
    }
    this.#screen.changed();
  }

  #finished(result: ResultView | undefined): void {
    if (result === undefined) return;
    const { style, verbose, retry } = this.options;
    const { state, name } = result;
    if (isWrong(state)) {
      const next = { log: this.logCommand(result), retry: retry(), page: this.page() };
      for (const line of failureBlock(result, { style, ...next })) this.note(line);
    } else if (state === "cancelled") {
      this.note(`${style.shape(state)} ${name.padEnd(32)}  ${failureText(result)}`);
    } else if (state === "built" || state === "substituted") {
      const time = duration(result.durationMs);
      const gap = Math.max(1, this.#screen.columns - 2 - name.length - time.length);
      this.note(`${style.shape(state)} ${name}${" ".repeat(gap)}${style.paint("dim", time)}`);
      if (verbose) for (const line of this.#verbose(result).slice(1)) this.note(line);
    } else if (state === "reused" && verbose) {
      for (const line of this.#verbose(result)) this.note(line);
    }
  }

  #verbose(result: ResultView): string[] {
    const { style } = this.options;
    const reason = reasonText(result);
    const facts = [
      ...(reason === undefined ? [] : [reason]),
      ...result.outputs.flatMap((output) => (output.path === null ? [] : [output.path])),
    ];
    return [
      `${style.shape(result.state)} ${result.name}`,
      ...facts.map((fact) => style.paint("dim", `  ${style.branch} ${fact}`)),
    ];
  }

  note(line: string): void {
    this.#screen.print(line);
  }

  close(): void {
    this.#screen.stop();
  }
}

/** One line for each thing that happens; with `quiet`, only for what went wrong. */
class LineReporter extends TextReporter {
  readonly #quiet: boolean;
  readonly #timer: NodeJS.Timeout | undefined;
  #arrival: NodeJS.Timeout | undefined;

  constructor(options: ReporterOptions) {
    super(options);
    this.#quiet = options.kind === "quiet";
    if (!this.#quiet) this.#timer = setInterval(() => this.#signOfLife(), signOfLifeMs).unref();
  }

  event(event: BuildEvent, lines: readonly string[]): void {
    const { view, logs } = this.options;
    if (logs && "drvPath" in event) this.logLines(event.drvPath, lines);
    if (event.type === "result.started") {
      if (!this.#quiet) this.sayPlan();
      if (Date.now() - Date.parse(event.time) > 10 * arrivalMs) this.#arrives();
    } else if (event.type === "result.finished") this.#finished(view.result(event.drvPath));
    else if (event.type === "message") {
      const wanted = event.level === "error" || (!this.#quiet && event.level !== "debug");
      if (wanted) this.note(`kiln: ${messageText(event)}`);
    } else if (event.type === "build.finished") {
      this.close();
      this.sayWhy();
      const good =
        view.state === "built" || view.state === "substituted" || view.state === "reused";
      if (this.#quiet && good) return;
      const skipped = skippedText(view);
      if (skipped !== undefined) this.note(`kiln: ${skipped.names} ${skipped.why}`);
      this.saySummary();
    }
  }

  #finished(result: ResultView | undefined): void {
    if (result === undefined) return;
    const { verbose } = this.options;
    const { state, name } = result;
    if (isWrong(state)) this.#failed(result);
    else if (state === "cancelled") this.#line(`${name} ${failureText(result)}`);
    else if (state === "built" || state === "substituted") {
      const verb = state === "built" ? "built" : "fetched";
      const why = verbose ? reasonText(result) : undefined;
      const reason = why === undefined ? "" : ` (${why})`;
      this.#line(`${name} ${verb} in ${duration(result.durationMs)}${reason}`);
      if (verbose) this.#paths(result);
    } else if (state === "reused" && verbose) {
      this.#line(`${name} reused`);
      this.#paths(result);
    }
  }

  #paths(result: ResultView): void {
    if (this.#quiet) return;
    for (const { name, path } of result.outputs)
      if (path !== null)
        this.note(`kiln: ${result.name}${name === "out" ? "" : `.${name}`} -> ${path}`);
  }

  /** In GitHub's log the failure is marked and its log folded; the prefix keeps builders from writing such marks themselves. */
  #failed(result: ResultView): void {
    const { view, style, env, retry } = this.options;
    const fate = result.state === "interrupted" ? "" : "FAILED: ";
    const what = `${result.name} ${fate}${failureText(result)}`;
    const inActions = env["GITHUB_ACTIONS"] === "true";
    if (inActions)
      this.note(`::error title=${escapeProperty(result.name)}::${escapeMessage(what)}`);
    const { done, total } = view.progress();
    this.note(`kiln: [${done}/${total}] ${what}`);
    const lines = lastLines(result, style);
    if (inActions && lines.length > 0) this.note(`::group::log of ${result.name}`);
    for (const line of lines) this.note(`${result.name}| ${line}`);
    if (inActions && lines.length > 0) this.note("::endgroup::");
    if (result.logSize > 0) this.note(`kiln: log: ${this.logCommand(result)}`);
    const page = this.page();
    if (page !== undefined) this.note(`kiln: page: ${page}`);
    this.note(`kiln: derivation: ${result.drvPath}`);
    const remedy = remedyText(result, retry());
    if (remedy !== undefined) this.note(`kiln: try: ${remedy}`);
  }

  #line(text: string): void {
    if (this.#quiet) return;
    const { done, total } = this.options.view.progress();
    this.note(`kiln: [${done}/${total}] ${text}`);
  }

  #arrives(): void {
    if (this.#quiet) return;
    clearTimeout(this.#arrival);
    this.#arrival = setTimeout(() => this.#signOfLife(), arrivalMs).unref();
  }

  #signOfLife(): void {
    const { view } = this.options;
    const running = view.inState("running", "substituting");
    if (view.finished || running.length === 0) return;
    const now = Date.now();
    const names = running
      .slice(0, 5)
      .map((result) => `${result.name} ${duration(now - (result.startedAt ?? now))}`);
    const more = running.length > 5 ? `, ${running.length - 5} more` : "";
    const waiting = view.inState("waiting").length;
    this.#line(`running: ${names.join(", ")}${more}${waiting > 0 ? `; ${waiting} waiting` : ""}`);
  }

  note(line: string): void {
    const { stream, style } = this.options;
    stream.write(`${style.line(line)}\n`);
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#arrival);
  }
}

// GitHub's escapes of workflow commands.
function escapeMessage(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeMessage(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
