/** Runs builders as {@link Runner} does, by the starter: a process that is much cheaper to copy than one of Node. */
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { KilnError } from "../util/kiln-error.ts";
import type { Limiter } from "../util/limiter.ts";
import type { BuildOutcome } from "./executor.ts";
import { HandedPlaces } from "./handed-places.ts";
import { endProcesses } from "./process-tree.ts";
import type { RunnerOptions } from "./runner.ts";
import { type BuilderCommand, commandFault, faultFor, spawnError } from "./start-builder.ts";
import { type Order, Starter } from "./starter.ts";

const orders = fileURLToPath(new URL("builder.pl", import.meta.url));

export class PerlRunner implements AsyncDisposable {
  readonly #starter: Starter;
  /** Of each limiter that builders had places from: one, most often. */
  readonly #handed = new Map<Limiter, HandedPlaces>();

  /** `perl`: the program. */
  constructor(perl: string) {
    this.#starter = new Starter(perl, [orders]);
  }

  warm(): void {
    this.#starter.warm();
  }

  /** See {@link Runner.run}. */
  async run(
    command: BuilderCommand,
    output: string,
    { stop, grace, places, onBegin, onStarted }: RunnerOptions,
  ): Promise<BuildOutcome> {
    const fault = commandFault(command);
    if (fault !== undefined) {
      onBegin?.();
      onStarted(); // it never will be, and whoever reads the output waits for its end
      return { type: "notStarted", message: fault };
    }
    using timers = new DisposableStack();
    // Left again at the end of this at the latest: when whoever should have ended the builder is gone, it is ended here before.
    const handed = places && this.#handedBy(places.limiter);
    using seat = places && (await handed?.join(stop, places));
    stop.throwIfAborted();
    const builder = new RunningBuilder(this.#starter, command, output, {
      after: seat?.hasPlace === false ? places?.limiter.max : undefined,
      onBegin: () => onBegin?.(),
      onOver: () => seat?.[Symbol.dispose](),
    });
    const end = (): void => {
      // Those that are to follow it may end for the same reason: they are told first, and do not begin.
      if (builder.hasBegun) queueMicrotask(() => builder.signal("TERM"));
      else builder.signal("TERM");
      const timer = setTimeout(() => builder.signal("KILL"), grace);
      timers.defer(() => clearTimeout(timer));
    };
    try {
      if (stop.aborted) end();
      stop.addEventListener("abort", end, { once: true });
      return await builder.ended.promise;
    } catch (error) {
      using _lost = handed?.lose();
      await endProcesses({ leader: undefined, directory: command.workDirectory });
      throw error;
    } finally {
      stop.removeEventListener("abort", end);
      onStarted(); // before is as good, and would take a message
    }
  }

  #handedBy(limiter: Limiter): HandedPlaces {
    let handed = this.#handed.get(limiter);
    if (handed === undefined) this.#handed.set(limiter, (handed = new HandedPlaces(limiter)));
    return handed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#starter[Symbol.asyncDispose]();
  }
}

interface TurnToRun {
  /** Begins when fewer than so many run; at once when that is undefined. */
  readonly after: number | undefined;
  readonly onBegin: () => void;
  /** It has ended, or will never begin. */
  readonly onOver: () => void;
}

/** How long to ask whether what a builder has left is gone, in milliseconds. */
const patience = 10_000;

class RunningBuilder {
  readonly ended: PromiseWithResolvers<BuildOutcome> = Promise.withResolvers();
  hasBegun: boolean;
  readonly #builder: string;
  readonly #order: Order;
  readonly #turn: TurnToRun;
  /** Since when something is left of it. */
  #leftSince: number | undefined;
  #pause = 1;
  #isOver = false;

  constructor(starter: Starter, command: BuilderCommand, output: string, turn: TurnToRun) {
    const { builder, args, env, workDirectory, user } = command;
    this.#builder = builder;
    this.#turn = turn;
    this.hasBegun = turn.after === undefined;
    const ids = user === undefined ? ["", ""] : [String(user.uid), String(user.gid)];
    const variables = Array.from(env, ([name, value]) => `${name}=${value}`);
    const words = [output, workDirectory, ...ids, String(args.length + 1), builder, ...args];
    words.push(...variables);
    const hear = (line: string): void => this.#hear(line);
    if (turn.after === undefined) {
      this.#order = starter.begin("builder", words, hear);
      turn.onBegin();
    } else {
      this.#order = starter.begin("next", [String(turn.after), ...words], hear);
    }
  }

  signal(name: string): void {
    this.#order("signal", name);
  }

  #hear(line: string): void {
    const space = line.indexOf(" ");
    const [word, rest] = space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
    switch (word) {
      case "begun":
        this.hasBegun = true;
        this.#turn.onBegin();
        break;
      case "dropped":
        this.#end([0, constants.signals.SIGTERM]);
        break;
      case "fault":
        this.#refuse(Number(rest));
        break;
      case "failed":
        this.#finish();
        this.ended.reject(spawnError(this.#builder, rest));
        break;
      case "left":
        this.#ask(rest);
        break;
      case "ended":
        this.#end(rest.split(" ").map(Number));
        break;
      case "closed": // after one of the others, or when the starter has ended
        if (this.#isOver) break;
        this.ended.reject(
          new KilnError("process.runner", "the process that runs builders has ended", {
            kind: "internal",
            hint: "it is a program in perl: see whether perl -v works, then build again",
          }),
        );
    }
  }

  #refuse(number: number): void {
    this.#finish();
    const error = Object.entries(constants.errno).find(([, one]) => one === number)?.[0];
    const message = faultFor(this.#builder, error);
    if (message === undefined) this.ended.reject(spawnError(this.#builder, error ?? `${number}`));
    else this.ended.resolve({ type: "notStarted", message });
  }

  /** Whoever was left has been killed; is that so? */
  #ask(left: string): void {
    this.#leftSince ??= performance.now();
    if (performance.now() - this.#leftSince > patience) {
      this.#order("abandon");
      const message = `processes ${left.replaceAll(" ", ", ")} cannot be killed`;
      this.ended.reject(new KilnError("process.survived", message, { kind: "internal" }));
      return;
    }
    setTimeout(() => this.#order("look"), this.#pause);
    this.#pause = Math.min(this.#pause * 2, 50);
  }

  #finish(): void {
    this.#isOver = true;
    this.#turn.onOver();
  }

  #end([code = 0, signal = 0]: readonly number[]): void {
    this.#finish();
    if (signal === 0) this.ended.resolve({ type: "exited", code });
    else this.ended.resolve({ type: "signaled", signal: nameOfSignal(signal) });
  }
}

function nameOfSignal(signal: number): string {
  const found = Object.entries(constants.signals).find(([, number]) => number === signal);
  return found?.[0] ?? `SIG${signal}`;
}
