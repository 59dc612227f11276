/** `kiln build`: evaluate, send what the store lacks, realise, show it, print the output paths. */
import { join } from "node:path";
import type { BuildEvent } from "../../build/events.ts";
import type { WantedDerivation } from "../../author/evaluate.ts";
import { objectNameOf, type StorePath } from "../../format/store-path.ts";
import type { StoreClient } from "../../rpc/client.ts";
import type { SandboxMode } from "../../server/options.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { locate, open, type StoreConnection } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { followBuild } from "../follow.ts";
import { exitCodeOfSignal, type Signal } from "../interrupts.ts";
import { type LimitFlags, limitsFrom } from "../limits.ts";
import { makeOutLinks, outLinks } from "../out-links.ts";
import { keepLinks } from "./root.ts";
import { pollBuild } from "../poll.ts";
import { BuildView } from "../progress/build-view.ts";
import { JsonReporter } from "../progress/json-reporter.ts";
import { makeReporter, type Reporter } from "../progress/reporter.ts";
import {
  type ColourWish,
  makeStyle,
  progressKind,
  type ProgressWish,
  wantsAscii,
  wantsColour,
} from "../progress/style.ts";
import { reuseWish } from "../reuse.ts";
import { type GlobalFlags, type Settings, settingsFrom } from "../settings.ts";
import { shortID } from "../text.ts";
import { type EvaluationFlags, findWanted, readOperands, type Wanted } from "../wanted.ts";

export interface BuildFlags extends EvaluationFlags, LimitFlags {
  readonly keepFailed?: boolean;
  readonly keepGoing?: boolean;
  readonly clean?: boolean;
  readonly jobs?: number;
  readonly sandbox?: SandboxMode;
  readonly outLink?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly printBuildLogs?: boolean;
  readonly progress?: ProgressWish;
  readonly color?: ColourWish;
}

export async function build(
  operands: readonly string[],
  flags: BuildFlags & GlobalFlags,
  outer: CommandContext,
): Promise<number> {
  const context = flags.quiet === true ? { ...outer, note: () => undefined } : outer;
  readOperands(operands, flags); // what cannot be understood is said before anything is begun
  const run = new Run(flags, context);
  using _handling = context.interrupts.handle((signal) => run.interrupt(signal));
  try {
    return await run.toEnd(operands);
  } catch (error) {
    if (run.interruptedBy === undefined) throw error;
    throw new ExitWith(exitCodeOfSignal(run.interruptedBy));
  } finally {
    run.reporter?.close();
  }
}

/** One run of the command: what an interruption needs to know is kept here. */
class Run {
  interruptedBy: Signal | undefined;
  reporter: Reporter | undefined;
  readonly #flags: BuildFlags & GlobalFlags;
  readonly #context: CommandContext;
  readonly #stop = new AbortController();
  readonly #view = new BuildView();
  /** The build that is under way. */
  #build: { readonly id: string; readonly client: StoreClient } | undefined;

  constructor(flags: BuildFlags & GlobalFlags, context: CommandContext) {
    this.#flags = flags;
    this.#context = context;
  }

  /** The first Ctrl-C: whatever is going on is given up in order. */
  interrupt(signal: Signal): void {
    this.interruptedBy = signal;
    this.#stop.abort(new ExitWith(exitCodeOfSignal(signal)));
    if (this.#build !== undefined) this.#cancel();
  }

  async toEnd(operands: readonly string[]): Promise<number> {
    const settings = settingsFrom(this.#flags, this.#context.env);
    const { jobs, sandbox } = this.#flags;
    const limits = limitsFrom(this.#flags, this.#flags.configuration?.limits);
    const wishes = { create: true, jobs, sandbox, limits };
    const located = await locate(settings, this.#context, wishes);
    await using _daemon = located.daemon ?? nothing;
    const signal = this.#stop.signal;
    // The evaluation is another process: meanwhile this one loads what it needs to open a store.
    if (located.daemon === undefined) import("../embedded.ts").catch(() => {});
    await using wanted = await findWanted(operands, this.#flags, located.settings, signal);
    if (wanted.derivations.length === 0) {
      throw new KilnError("target.none", "there is nothing to build", { hint: "kiln targets" });
    }
    signal.throwIfAborted();
    await using connection = await open(located, this.#context, { ...wishes, signal });
    await wanted.send(connection);
    signal.throwIfAborted();
    return await this.#realize(operands, wanted, { connection, settings });
  }

  async #realize(
    operands: readonly string[],
    wanted: Wanted,
    { connection, settings }: { readonly connection: StoreConnection; readonly settings: Settings },
  ): Promise<number> {
    const { client } = connection;
    const storeDir = wanted.directory;
    const { keepFailed = false, keepGoing = true, clean = false } = this.#flags;
    this.reporter = await this.#makeReporter(operands);
    const targets = unique(wanted.derivations);
    const { buildID } = await client.call("zb.realize", {
      drvPath: targets.map(({ drvPath }) => drvPath),
      keepFailed,
      keepGoing,
      targets: targets.map(({ name, drvPath }) => ({ name, drvPath })),
      reuse: reuseWish(settings, clean),
    });
    this.#build = { id: buildID, client };
    if (this.interruptedBy !== undefined) this.#cancel(); // it came while the answer was on its way
    const onEvent = (event: BuildEvent): void => {
      const lines = this.#view.apply(event);
      this.reporter?.event(event, lines);
    };
    if (connection.hello !== undefined) await followBuild(client, buildID, onEvent, this.#logs());
    else await pollBuild(client, { id: buildID, targets, storeDir }, onEvent);
    this.#build = undefined;
    this.reporter.close();
    await this.#printPaths(wanted.derivations, buildID, connection);
    return this.#exitCode();
  }

  #cancel(): void {
    const { id, client } = this.#build ?? {};
    if (id === undefined || client === undefined) return;
    client.notify("zb.cancelBuild", { buildID: id });
    const again = this.interruptedBy === "SIGINT" ? " (Ctrl-C again: leave now)" : "";
    this.reporter?.note(`kiln: cancelling ${shortID(id)}${again}`);
  }

  /** Every output that there is, in the order in which it was asked for; then links to them. */
  async #printPaths(
    derivations: readonly WantedDerivation[],
    buildID: string,
    connection: StoreConnection,
  ): Promise<void> {
    const { client, hello } = connection;
    const found: { readonly output: string; readonly path: StorePath }[][] = [];
    for (const { drvPath, output } of derivations) {
      const { outputs } = await client.call("zb.getBuildResult", { buildID, drvPath });
      const there = outputs.flatMap(({ name, path }) =>
        path !== null && (output === undefined || name === output) ? [{ output: name, path }] : [],
      );
      found.push(there.toSorted((a, b) => compareBytes(a.output, b.output)));
    }
    if (this.#flags.json !== true) for (const { path } of found.flat()) say(path);
    if (this.#flags.outLink === undefined) return;
    // Links lead to where the objects are on this machine, whatever they are called.
    const real = hello?.realStoreDirectory;
    const linked = found.map((outputs) =>
      outputs.map(({ output, path }) => ({
        output,
        path: real === undefined ? path : join(real, objectNameOf(path)),
      })),
    );
    makeOutLinks(this.#flags.outLink, linked);
    const links = outLinks(this.#flags.outLink, linked).map(({ link }) => link);
    await keepLinks(connection, links, this.#context);
  }

  /** All of the logs where they are wanted; the tree shows the newest line of each. */
  #logs(): "all" | "tail" | undefined {
    if (this.#flags.printBuildLogs === true) return "all";
    return this.#kind() === "tree" ? "tail" : undefined;
  }

  #kind(): "tree" | "plain" | "quiet" | "json" {
    const { json, quiet, progress = "auto" } = this.#flags;
    if (json === true) return "json";
    const wish = quiet === true ? "quiet" : progress;
    return progressKind(wish, this.#context.env, process.stderr.isTTY);
  }

  #exitCode(): number {
    if (this.interruptedBy !== undefined) return exitCodeOfSignal(this.interruptedBy);
    return ["built", "substituted", "reused"].includes(this.#view.state) ? 0 : 1;
  }

  async #makeReporter(operands: readonly string[]): Promise<Reporter> {
    const { printBuildLogs: logs = false, verbose = false, color = "auto" } = this.#flags;
    const kind = this.#kind();
    if (kind === "json") return new JsonReporter(process.stdout, { logs });
    const { env } = this.#context;
    const stream = process.stderr;
    return await makeReporter({
      kind,
      view: this.#view,
      style: makeStyle({ colour: wantsColour(color, env, stream.isTTY), ascii: wantsAscii(env) }),
      stream,
      env,
      logs,
      verbose,
      retry: () => (this.#flags.keepFailed === true ? undefined : this.#retry(operands)),
    });
  }

  /** The command that keeps what the failed builders leave. */
  #retry(operands: readonly string[]): string {
    return ["kiln build", ...operands.map(quoted), "--keep-failed"].join(" ");
  }
}

const nothing: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

function unique(derivations: readonly WantedDerivation[]): WantedDerivation[] {
  return [...new Map(derivations.map((derivation) => [derivation.drvPath, derivation])).values()];
}

/** A word that a shell reads as it stands. */
function quoted(word: string): string {
  return /^[\w@%+=:,./#-]+$/.test(word) && !word.startsWith("#")
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
