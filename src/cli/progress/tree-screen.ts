/** The moving part of the terminal: redrawn from a snapshot at most 10 times a second, below lines that stay. */
import type { Environment } from "../settings.ts";
import type { BuildView } from "./build-view.ts";
import { sizeOf, type Terminal, withSize } from "./terminal.ts";
import type { liveRegion } from "./live-region.ts";
import type { Style } from "./style.ts";

/** Time between two redraws, in milliseconds. */
const pace = 100;

interface LiveText {
  (text: string): void;
  clear(): void;
  done(): void;
  persist(text: string): void;
}

export interface TreeScreenOptions {
  readonly view: BuildView;
  readonly style: Style;
  readonly stream: Terminal;
  readonly env: Environment;
}

/** What is loaded only where it is needed. */
interface Tools {
  readonly live: LiveText;
  readonly region: typeof liveRegion;
  readonly widthOf: (text: string) => number;
}

export class TreeScreen {
  readonly #options: TreeScreenOptions;
  readonly #live: LiveText;
  readonly #region: typeof liveRegion;
  readonly #widthOf: (text: string) => number;
  /** The lines that were drawn last, and for how many columns. */
  #lines: readonly string[] = [];
  #columns = 0;
  #timer: NodeJS.Timeout | undefined;
  #drawn = 0;
  /** When the timer fires. */
  #due = Infinity;
  #stopped = false;
  /** Lines that stay, written with the next redraw. */
  #pending: string[] = [];
  readonly #resized = (): void => this.changed();

  private constructor(options: TreeScreenOptions, tools: Tools) {
    this.#options = options;
    this.#live = tools.live;
    this.#region = tools.region;
    this.#widthOf = tools.widthOf;
    options.stream.on("resize", this.#resized);
  }

  static async open(options: TreeScreenOptions): Promise<TreeScreen> {
    const [{ createLogUpdate }, { liveRegion: region }, { default: widthOf }] = await Promise.all([
      import("log-update"),
      import("./live-region.ts"),
      import("string-width"),
    ]);
    return new TreeScreen(options, {
      live: createLogUpdate(withSize(options.stream)),
      region,
      widthOf,
    });
  }

  get columns(): number {
    return sizeOf(this.#options.stream).columns;
  }

  /** Something happened: draw soon, and then once a second for the timers. */
  changed(): void {
    if (this.#stopped) return;
    this.#drawAt(Math.max(performance.now(), this.#drawn + pace));
  }

  print(line: string): void {
    const { stream, style } = this.#options;
    if (this.#stopped) stream.write(`${style.line(line)}\n`);
    else {
      this.#pending.push(style.line(line));
      this.changed();
    }
  }

  /** Takes the moving part away; what is printed from now on is written at once. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#options.stream.off("resize", this.#resized);
    this.#eraseWrapped();
    this.#live.clear();
    this.#live.done();
    for (const line of this.#pending) this.#options.stream.write(`${line}\n`);
    this.#pending = [];
  }

  /** An earlier time wins, so that a stream of events cannot put the drawing off. */
  #drawAt(time: number): void {
    if (time >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = time;
    this.#timer = setTimeout(() => this.#draw(), Math.max(0, time - performance.now())).unref();
  }

  #draw(): void {
    const { view, style, stream } = this.#options;
    this.#drawn = performance.now();
    this.#due = Infinity;
    this.#eraseWrapped();
    if (this.#pending.length > 0) {
      this.#live.persist(this.#pending.join("\n"));
      this.#pending = [];
    }
    const screen = sizeOf(stream);
    const lines = view.startedAt === 0 ? [] : this.#region(view, style, screen, Date.now());
    if (lines.length > 0) this.#live(style.line(lines.join("\n")));
    this.#lines = lines;
    this.#columns = screen.columns;
    this.#drawAt(this.#drawn + 1000);
  }

  /** A terminal that became narrower has wrapped what was drawn: the rows that came of that go, too. */
  #eraseWrapped(): void {
    const { stream, env } = this.#options;
    const { columns } = this;
    if (columns >= this.#columns || !wrapsWhenResized(env)) return;
    const rows = this.#lines.map((line) =>
      Math.max(0, Math.ceil(this.#widthOf(line) / columns) - 1),
    );
    const more = rows.reduce((sum, count) => sum + count, 0);
    this.#columns = columns;
    if (more > 0) stream.write(`\u001b[2K${"\u001b[1A\u001b[2K".repeat(more)}`);
  }
}

/** All do but xterm and screen. */
function wrapsWhenResized(env: Environment): boolean {
  const isScreen = (env["TERM"] ?? "").startsWith("screen") && env["TMUX"] === undefined;
  return env["XTERM_VERSION"] === undefined && !isScreen;
}
