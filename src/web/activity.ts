/**
 * What goes on in the daemon, for any number of those who watch: it is put together once for all of them, and at most a few times a
 * second.
 */
import { setTimeout as delay } from "node:timers/promises";
import { abortable } from "../build/event-log.ts";
import type { BuildEvent } from "../build/events.ts";
import type { BuildService } from "../build/service.ts";
import type { FinishedMessage, RunningMessage } from "./api/messages.ts";
import type { ServerSentEvent } from "./event-stream.ts";
import { buildMessage, runningMessage } from "./views.ts";

/** Milliseconds between two messages to one who watches. */
const pace = 150;

/** Builds that ended last are remembered for those whose connection was lost. */
const mostRemembered = 200;

/** Of what happens in a build, what changes the picture. */
const matters: ReadonlySet<BuildEvent["type"]> = new Set([
  "build.started",
  "build.planned",
  "result.started",
  "result.finished",
  "build.finished",
]);

export class Activity implements Disposable {
  readonly #builds: BuildService;
  readonly #watching: Disposable;
  /** Counts changes. */
  #version = 1;
  #wake = Promise.withResolvers<void>();
  #running: { readonly version: number; readonly message: RunningMessage } | undefined;
  readonly #finished: { readonly version: number; readonly message: FinishedMessage }[] = [];

  constructor(builds: BuildService) {
    this.#builds = builds;
    this.#watching = builds.subscribe((event) => this.#note(event));
  }

  [Symbol.dispose](): void {
    this.#watching[Symbol.dispose]();
  }

  /** All that runs now. */
  running(): RunningMessage {
    if (this.#running?.version !== this.#version) {
      this.#running = { version: this.#version, message: runningMessage(this.#builds) };
    }
    return this.#running.message;
  }

  /**
   * `running` whenever that changes, `finished` for builds that ended after change number `after`; first of all `running` as it is
   * now.
   */
  async *follow(
    after: number | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<ServerSentEvent, void, undefined> {
    // A number that was never reached is that of a daemon before this one.
    let seen = after === undefined || after > this.#version ? this.#version : after;
    for (;;) {
      const version = this.#version;
      for (const finished of this.#finished) {
        if (finished.version <= seen) continue;
        yield { event: "finished", id: finished.version, data: finished.message };
      }
      yield { event: "running", id: version, data: this.running() };
      seen = version;
      await delay(pace, undefined, { signal });
      while (this.#version === seen) await abortable(this.#wake.promise, signal);
    }
  }

  #note(event: BuildEvent): void {
    if (!matters.has(event.type)) return;
    this.#version++;
    if (event.type === "build.finished") {
      const found = this.#builds.records.find(event.buildID);
      if (found !== undefined) {
        this.#finished.push({ version: this.#version, message: { build: buildMessage(found) } });
        this.#finished.splice(0, this.#finished.length - mostRemembered);
      }
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
