import type { Clock } from "../util/clock.ts";
import type { BuildEvent, BuildEventBody } from "./events.ts";

/** The events of one build: kept in order, read by any number of readers from any place. */
export class EventLog {
  readonly #buildID: string;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #onEvent: ((event: BuildEvent) => void) | undefined;
  #events: BuildEvent[] = [];
  /** Sequence number of the last event. */
  #last = 0;
  #ended = false;
  #wake = Promise.withResolvers<void>();

  /**
   * At most `limit` events are kept; whoever reads from before gets a `dropped` event in their place. `onEvent` is told of each as it
   * happens.
   */
  constructor(
    buildID: string,
    clock: Clock,
    limit = 200_000,
    onEvent?: (event: BuildEvent) => void,
  ) {
    this.#buildID = buildID;
    this.#clock = clock;
    this.#limit = limit;
    this.#onEvent = onEvent;
  }

  /** The number of the last event; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  get ended(): boolean {
    return this.#ended;
  }

  emit(body: BuildEventBody): void {
    const event = { ...this.#header(++this.#last), ...body };
    this.#events.push(event);
    if (this.#events.length > this.#limit) {
      this.#events = this.#events.slice(Math.ceil(this.#limit / 2));
    }
    this.#awaken();
    this.#onEvent?.(event);
  }

  /** No more events will come. */
  end(): void {
    this.#ended = true;
    this.#awaken();
  }

  /** The events after number `after`, then those to come; ends with the build. Rejects with the reason of `signal`. */
  async *read(after: number, signal?: AbortSignal): AsyncGenerator<BuildEvent, void, undefined> {
    let next = after + 1;
    for (;;) {
      signal?.throwIfAborted();
      const first = this.#events[0]?.seq ?? this.#last + 1;
      if (next < first) {
        yield { ...this.#header(first - 1), type: "dropped", count: first - next };
        next = first;
        continue;
      }
      const event = this.#events[next - first];
      if (event !== undefined) {
        next++;
        yield event;
      } else if (this.#ended) {
        return;
      } else {
        await abortable(this.#wake.promise, signal);
      }
    }
  }

  #header(seq: number): { v: 1; seq: number; time: string; buildID: string } {
    return {
      v: 1,
      seq,
      time: new Date(this.#clock.now()).toISOString(),
      buildID: this.#buildID,
    };
  }

  #awaken(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** `promise`, or a rejection with the reason of `signal` once that is aborted. */
export async function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
