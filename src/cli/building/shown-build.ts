/** A build as people, or programs, see it from here: its events, taken in and shown until it has ended. */
import { join } from "node:path";
import type { BuildEvent, BuildTarget } from "../../build/events.ts";
import { TraceRecorder } from "../../build/trace.ts";
import { objectNameOf, parseStorePath } from "../../format/store-path.ts";
import type { StoreConnection } from "../connection.ts";
import type { CommandContext } from "../context.ts";
import { writeOutput } from "../files.ts";
import { followBuild } from "../follow.ts";
import { pollBuild } from "../poll.ts";
import { BuildView } from "../progress/build-view.ts";
import { JsonReporter } from "../progress/json-reporter.ts";
import { makeReporter, type Reporter } from "../progress/reporter.ts";
import {
  type ColourWish,
  makeStyle,
  progressKind,
  type ProgressWish,
  type Style,
  wantsAscii,
  wantsColour,
} from "../progress/style.ts";

/** Flags of every command that shows a build. */
export interface ProgressFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly printBuildLogs?: boolean;
  readonly progress?: ProgressWish;
  readonly color?: ColourWish;
  readonly trace?: string;
}

export interface ShowOptions {
  /** Say why things are built. */
  readonly why?: boolean;
  /** Say nothing of a build that found everything there. */
  readonly silentReuse?: boolean;
  /** The command that builds again and keeps the directories of failed builders. */
  readonly retry?: () => string | undefined;
}

/** A build that is under way, or over. */
export interface FollowedBuild {
  readonly id: string;
  readonly targets: readonly BuildTarget[];
  readonly storeDir: string;
}

type Kind = "tree" | "plain" | "quiet" | "json";

/** Dispose of it to give the terminal back. */
export class ShownBuild implements Disposable {
  readonly #view: BuildView;
  readonly #kind: Kind;
  readonly #flags: ProgressFlags;
  readonly #connection: StoreConnection;
  readonly #context: CommandContext;
  readonly #reporter: Reporter;
  readonly #trace: TraceRecorder | undefined;

  private constructor(
    flags: ProgressFlags,
    connection: StoreConnection,
    context: CommandContext,
    shown: { readonly kind: Kind; readonly view: BuildView; readonly reporter: Reporter },
  ) {
    this.#flags = flags;
    this.#connection = connection;
    this.#context = context;
    this.#kind = shown.kind;
    this.#view = shown.view;
    this.#reporter = shown.reporter;
    this.#trace = flags.trace === undefined ? undefined : new TraceRecorder();
  }

  static async open(
    flags: ProgressFlags,
    connection: StoreConnection,
    context: CommandContext,
    options: ShowOptions = {},
  ): Promise<ShownBuild> {
    const { printBuildLogs: logs = false, verbose = false } = flags;
    const { env } = context;
    const { stderr: stream, stdout } = process;
    const kind = kindOf(flags, context);
    const view = new BuildView();
    if (kind === "json") {
      const reporter = new JsonReporter(stdout, { logs });
      return new ShownBuild(flags, connection, context, { kind, view, reporter });
    }
    const { hello } = connection;
    const { why = false, silentReuse = false, retry = () => undefined } = options;
    const reporter = await makeReporter({
      kind,
      view,
      style: styleFor(flags, context),
      stream,
      env,
      logs,
      verbose,
      why,
      silentReuse,
      retry,
      kiln: context.kiln,
      page: hello?.page,
      realDirectory: hello?.realStoreDirectory,
    });
    return new ShownBuild(flags, connection, context, { kind, view, reporter });
  }

  /**
   * Shows the build to its end.
   *
   * @throws KilnError `socket.interrupted`
   */
  async follow({ id, targets, storeDir }: FollowedBuild): Promise<void> {
    const { client, hello } = this.#connection;
    const onEvent = (event: BuildEvent): void => {
      this.#trace?.add(event);
      this.#reporter.event(event, this.#view.apply(event));
    };
    if (hello !== undefined)
      await followBuild(client, id, onEvent, { context: this.#context, logs: this.#logs() });
    else await pollBuild(client, { id, targets, storeDir }, onEvent);
    this.#reporter.close();
  }

  /** What was shown, for those who want to say more. */
  get view(): BuildView {
    return this.#view;
  }

  get succeeded(): boolean {
    return ["built", "substituted", "reused"].includes(this.#view.state);
  }

  /** A line that stays. */
  line(line: string): void {
    this.#reporter.note(line);
  }

  /** The same, as `kiln: …`. */
  note(line: string): void {
    this.#reporter.note(`kiln: ${line}`);
  }

  /** Writes the trace, if one is wanted. */
  async writeTrace(): Promise<void> {
    const { trace } = this.#flags;
    if (trace === undefined || this.#trace === undefined) return;
    await writeOutput(trace, [Buffer.from(`${JSON.stringify(this.#trace)}\n`)]);
  }

  [Symbol.dispose](): void {
    this.#reporter.close();
  }

  /** All of the logs where they are wanted; the tree shows the newest line of each. */
  #logs(): "all" | "tail" | undefined {
    if (this.#flags.printBuildLogs === true) return "all";
    return this.#kind === "tree" ? "tail" : undefined;
  }
}

function kindOf({ json, quiet, progress = "auto" }: ProgressFlags, { env }: CommandContext): Kind {
  if (json === true) return "json";
  const wish = quiet === true ? "quiet" : progress;
  return progressKind(wish, env, process.stderr.isTTY);
}

/** The style of standard error. */
export function styleFor({ color = "auto" }: ProgressFlags, { env }: CommandContext): Style {
  const colour = wantsColour(color, env, process.stderr.isTTY);
  return makeStyle({ colour, ascii: wantsAscii(env) });
}

/** Where an object lies on this machine; undefined where nobody says. */
export function placeOf({ hello }: StoreConnection, path: string): string | undefined {
  const real = hello?.realStoreDirectory;
  return real === undefined ? undefined : join(real, objectNameOf(parseStorePath(path)));
}
