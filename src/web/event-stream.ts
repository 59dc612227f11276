/** Server-sent events: one response, many messages. */
import { Readable } from "node:stream";

/** One message. `id` comes back as `Last-Event-ID` when the reader connects again. */
export interface ServerSentEvent {
  readonly event?: string;
  readonly id?: string | number;
  readonly data: unknown;
}

/** Milliseconds of silence after which a comment is sent, so that both sides notice a lost connection. */
const heartbeat = 15_000;

/** Milliseconds that a reader is to wait before it connects again. */
const retryAfter = 1000;

/**
 * The text of the messages that `events` gives, as bytes to be sent. It reads only as fast as it is read; `events` gets a signal that
 * aborts when the reader is gone. What they throw before that breaks the stream off: a reader takes an end for an end.
 */
export function eventStream(
  events: (signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
): Readable {
  const gone = new AbortController();
  const stream = Readable.from(textOf(events(gone.signal), gone.signal), {
    objectMode: false,
    highWaterMark: 16 * 1024,
  });
  // A reader that leaves ends the wait for the next message, too.
  const destroy = stream.destroy.bind(stream);
  stream.destroy = (error) => {
    gone.abort();
    return destroy(error);
  };
  return stream;
}

async function* textOf(
  events: AsyncIterable<ServerSentEvent>,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  yield `retry: ${retryAfter}\n\n`;
  const iterator = events[Symbol.asyncIterator]();
  let next = nextOf(iterator, signal);
  try {
    for (;;) {
      const result = await soon(next, signal);
      if (result === "silence") {
        yield ": still here\n\n";
        continue;
      }
      if (result === "gone" || result.done === true) return;
      yield format(result.value);
      next = nextOf(iterator, signal);
    }
  } finally {
    await iterator.return?.();
  }
}

/** What the iterator gives next; what it throws because the reader is gone is its end. */
async function nextOf(
  iterator: AsyncIterator<ServerSentEvent>,
  signal: AbortSignal,
): Promise<IteratorResult<ServerSentEvent, unknown>> {
  try {
    return await iterator.next();
  } catch (error) {
    if (!signal.aborted) throw error;
    return { done: true, value: undefined };
  }
}

async function soon<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | "silence" | "gone"> {
  const waiting = Promise.withResolvers<"silence" | "gone">();
  const timer = setTimeout(() => waiting.resolve("silence"), heartbeat);
  const leave = (): void => waiting.resolve("gone");
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    return await Promise.race([promise, waiting.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
  }
}

/** JSON has no line ends in it, so that one line of data is enough. */
function format({ event, id, data }: ServerSentEvent): string {
  const head = `${event === undefined ? "" : `event: ${event}\n`}${id === undefined ? "" : `id: ${id}\n`}`;
  return `${head}data: ${JSON.stringify(data)}\n\n`;
}
